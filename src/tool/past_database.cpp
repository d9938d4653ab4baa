#include "tool/past_database.h"

#include <charconv>

#include "core/work/recovered_database.h"

namespace pitr::tool {

namespace {

constexpr char kDatabases[] = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1";

constexpr char kFacts[] =
    "SELECT r.rolname, pg_encoding_to_char(d.encoding), t.spcname, to_jsonb(d),"
    " shobj_description(d.oid, 'pg_database'), pg_database_size(d.oid), d.datacl IS NULL,"
    " (SELECT count(*) FROM pg_subscription s WHERE s.subdbid = d.oid)"
    " FROM pg_database d JOIN pg_authid r ON r.oid = d.datdba"
    " JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = current_database()";

constexpr char kPrivileges[] =
    "SELECT r.rolname, a.privilege_type, a.is_grantable FROM pg_database d"
    " CROSS JOIN LATERAL aclexplode(d.datacl) a LEFT JOIN pg_authid r ON r.oid = a.grantee"
    " WHERE d.datname = current_database() AND (a.grantee = 0 OR r.oid IS NOT NULL)";

constexpr char kSettings[] =
    "SELECT r.rolname, split_part(u.item, '=', 1), substr(u.item, strpos(u.item, '=') + 1)"
    " FROM pg_database d JOIN pg_db_role_setting s ON s.setdatabase = d.oid"
    " LEFT JOIN pg_authid r ON r.oid = s.setrole"
    " CROSS JOIN LATERAL unnest(s.setconfig) WITH ORDINALITY u(item, n)"
    " WHERE d.datname = current_database() AND (s.setrole = 0 OR r.oid IS NOT NULL)"
    " ORDER BY s.setrole, u.n";

// Of the bootstrap superuser nobody takes notes: he is always there, under some name.
constexpr char kRoles[] =
    "SELECT r.rolname FROM pg_authid r WHERE r.oid = 10 OR r.oid IN (SELECT s.refobjid"
    " FROM pg_shdepend s WHERE s.refclassid = 'pg_authid'::regclass"
    " AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database()))";

constexpr char kTablespaces[] =
    "SELECT DISTINCT t.spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace"
    " WHERE t.spcname <> 'pg_global'";

std::uint64_t NumberIn(const std::optional<std::string>& text) {
  std::uint64_t number = 0;
  if (text) std::from_chars(text->data(), text->data() + text->size(), number);
  return number;
}

std::set<std::string> NamesIn(const std::vector<Row>& rows) {
  std::set<std::string> names;
  for (const Row& row : rows)
    names.insert(row.at(0).value_or(""));
  return names;
}

std::string TextIn(const Json& row, const char* member) {
  const auto found = row.find(member);
  return found != row.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// A list of names is written element by element, as it is read.
Result<std::string> ValueOf(const Connection& live, const PastSetting& setting) {
  if (!IsListParameter(setting.name)) return live.Literal(setting.value);
  std::string value;
  for (const std::string& element : ListElements(setting.value)) {
    PITR_ASSIGN_OR_RETURN(const std::string literal, live.Literal(element));
    value += (value.empty() ? "" : ", ") + literal;
  }
  return value.empty() ? "''" : value;
}

class Finisher {
 public:
  Finisher(const Connection& live, const PastDatabase& past, const std::string& owner,
           const std::set<std::string>& roles)
      : live_(live), past_(past), owner_(owner), roles_(roles) {}

  Result<std::vector<Finish>> Commands(const std::string& name) {
    PITR_ASSIGN_OR_RETURN(name_, live_.Identifier(name));
    PITR_RETURN_IF_ERROR(AddProperties());
    PITR_RETURN_IF_ERROR(AddPrivileges());
    PITR_RETURN_IF_ERROR(AddSettings());
    return std::move(commands_);
  }

 private:
  void Add(std::string what, std::string command) {
    commands_.push_back({std::move(what), std::move(command)});
  }

  Status AddProperties() {
    std::string comment = "NULL";
    if (past_.comment) {
      PITR_ASSIGN_OR_RETURN(comment, live_.Literal(*past_.comment));
    }
    Add("its comment", "COMMENT ON DATABASE " + name_ + " IS " + comment);
    PITR_ASSIGN_OR_RETURN(const std::int64_t limit, JsonInt(past_.row, "datconnlimit"));
    Add("its limit of connections",
        "ALTER DATABASE " + name_ + " WITH CONNECTION LIMIT " + std::to_string(limit));
    PITR_ASSIGN_OR_RETURN(const bool is_template, JsonBool(past_.row, "datistemplate"));
    if (is_template)
      Add("that it is a template", "ALTER DATABASE " + name_ + " WITH IS_TEMPLATE true");
    return Status::Ok();
  }

  Status AddPrivileges() {
    if (!past_.privileges) return Status::Ok();
    PITR_ASSIGN_OR_RETURN(const std::string owner, live_.Identifier(owner_));
    const std::string of = " ON DATABASE " + name_;
    Add("privileges on it", "REVOKE ALL" + of + " FROM PUBLIC, " + owner);
    for (const PastPrivilege& privilege : *past_.privileges) {
      std::string role = "PUBLIC";
      if (privilege.role) {
        const std::string& name = *privilege.role == past_.owner ? owner_ : *privilege.role;
        if (!roles_.contains(name)) continue;
        PITR_ASSIGN_OR_RETURN(role, live_.Identifier(name));
      }
      Add("privilege " + privilege.privilege + " of " + role,
          "GRANT " + privilege.privilege + of + " TO " + role +
              (privilege.is_grantable ? " WITH GRANT OPTION" : ""));
    }
    return Status::Ok();
  }

  Status AddSettings() {
    for (const PastSetting& setting : past_.settings) {
      std::string begin = "ALTER DATABASE " + name_;
      if (setting.role) {
        if (!roles_.contains(*setting.role)) continue;
        PITR_ASSIGN_OR_RETURN(const std::string role, live_.Identifier(*setting.role));
        begin = "ALTER ROLE " + role + " IN DATABASE " + name_;
      }
      PITR_ASSIGN_OR_RETURN(const std::string parameter, live_.Identifier(setting.name));
      PITR_ASSIGN_OR_RETURN(const std::string value, ValueOf(live_, setting));
      Add("setting " + setting.name, begin + " SET " + parameter + " TO " + value);
    }
    return Status::Ok();
  }

  const Connection& live_;
  const PastDatabase& past_;
  const std::string& owner_;
  const std::set<std::string>& roles_;
  std::string name_;
  std::vector<Finish> commands_;
};

}  // namespace

Result<Connection> EnterPastDatabase(const ConnectTo& past, const std::string& name,
                                     const CancelToken& cancel) {
  ConnectTo to = past;
  to.databases = {"template1", "postgres", name};
  std::string others;
  {
    PITR_ASSIGN_OR_RETURN(Connection any, Connection::Open(to));
    PITR_ASSIGN_OR_RETURN(const std::vector<Row> rows, any.Query(kDatabases, cancel));
    const std::set<std::string> names = NamesIn(rows);
    for (const std::string& other : names)
      others += (others.empty() ? "" : ", ") + other;
    PITR_ASSIGN_OR_RETURN(const std::string literal, any.Literal(name));
    PITR_ASSIGN_OR_RETURN(
        const std::vector<Row> found,
        any.Query("SELECT datallowconn FROM pg_database WHERE datname = " + literal, cancel));
    if (found.empty()) {
      return Status(Code::kNotFound, NoDatabaseThen(name))
          .WithDetail("There were: " + others + ".");
    }
    if (found[0].at(0) != "t") {
      return Status(Code::kNotReady,
                    "database \"" + name + "\" did not accept connections at that point");
    }
  }
  to.databases = {name};
  return Connection::Open(to);
}

Result<PastDatabase> ReadPastDatabase(Connection* session, const std::string& name,
                                      const CancelToken& cancel) {
  PastDatabase past;
  past.name = name;
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> facts, session->Query(kFacts, cancel));
  if (facts.size() != 1) return Status(Code::kInternal, "a database has no row in pg_database");
  const Row& row = facts[0];
  past.owner = row.at(0).value_or("");
  past.encoding = row.at(1).value_or("");
  past.tablespace = row.at(2).value_or("");
  PITR_ASSIGN_OR_RETURN(past.row, ParseJson(row.at(3).value_or(""), "row of pg_database"));
  past.comment = row.at(4);
  past.bytes = NumberIn(row.at(5));
  past.subscriptions = static_cast<std::int64_t>(NumberIn(row.at(7)));
  if (row.at(6) != "t") {
    past.privileges.emplace();
    PITR_ASSIGN_OR_RETURN(const std::vector<Row> rows, session->Query(kPrivileges, cancel));
    for (const Row& each : rows)
      past.privileges->push_back({each.at(0), each.at(1).value_or(""), each.at(2) == "t"});
  }
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> settings, session->Query(kSettings, cancel));
  for (const Row& each : settings)
    past.settings.push_back({each.at(0), each.at(1).value_or(""), each.at(2).value_or("")});
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> roles, session->Query(kRoles, cancel));
  past.roles = NamesIn(roles);
  PITR_ASSIGN_OR_RETURN(const std::vector<Row> tablespaces, session->Query(kTablespaces, cancel));
  past.tablespaces = NamesIn(tablespaces);
  return past;
}

Result<std::string> CreateCommand(const Connection& live, const PastDatabase& past,
                                  const std::string& name, bool with_tablespace) {
  PITR_ASSIGN_OR_RETURN(const std::string database, live.Identifier(name));
  std::string command =
      "CREATE DATABASE " + database + " WITH TEMPLATE template0 CONNECTION LIMIT 0";
  const auto add = [&](const char* option, const std::string& value) -> Status {
    if (value.empty()) return Status::Ok();
    PITR_ASSIGN_OR_RETURN(const std::string literal, live.Literal(value));
    command += std::string(" ") + option + " " + literal;
    return Status::Ok();
  };
  PITR_RETURN_IF_ERROR(add("ENCODING", past.encoding));
  PITR_RETURN_IF_ERROR(add("LC_COLLATE", TextIn(past.row, "datcollate")));
  PITR_RETURN_IF_ERROR(add("LC_CTYPE", TextIn(past.row, "datctype")));
  const std::string provider = TextIn(past.row, "datlocprovider");
  // Its name of 17 and later.
  const std::string locale =
      TextIn(past.row, past.row.contains("datlocale") ? "datlocale" : "daticulocale");
  if (provider == "i") {
    command += " LOCALE_PROVIDER icu";
    PITR_RETURN_IF_ERROR(add("ICU_LOCALE", locale));
    PITR_RETURN_IF_ERROR(add("ICU_RULES", TextIn(past.row, "daticurules")));
  } else if (provider == "b") {
    command += " LOCALE_PROVIDER builtin";
    PITR_RETURN_IF_ERROR(add("BUILTIN_LOCALE", locale));
  } else {
    command += " LOCALE_PROVIDER libc";
  }
  if (with_tablespace) {
    PITR_ASSIGN_OR_RETURN(const std::string tablespace, live.Identifier(past.tablespace));
    command += " TABLESPACE " + tablespace;
  }
  return command;
}

Result<std::vector<Finish>> FinishCommands(const Connection& live, const PastDatabase& past,
                                           const std::string& name, const std::string& owner,
                                           const std::set<std::string>& roles) {
  return Finisher(live, past, owner, roles).Commands(name);
}

}  // namespace pitr::tool
