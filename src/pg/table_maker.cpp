#include "pg/table_maker.h"

#include <algorithm>
#include <cstdlib>

#include "pg/foreign_keys.h"
#include "pg/log.h"
#include "pg/look_copy.h"
#include "pg/look_entry.h"
#include "pg/row_builder.h"
#include "pg/version.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "catalog/namespace.h"
#include "commands/defrem.h"
#include "utils/builtins.h"
}

namespace pitr::pg {

namespace {

std::string Identifier(const std::string& name) {
  const char* quoted = Call([&] { return quote_identifier(name.c_str()); });
  return quoted;
}

std::string Literal(const std::string& text) {
  const char* quoted = Call([&] { return quote_literal_cstr(text.c_str()); });
  return quoted;
}

void Replace(std::string* text, const std::string& what, const std::string& with) {
  for (std::size_t at = text->find(what); at != std::string::npos;
       at = text->find(what, at + with.size())) {
    text->replace(at, what.size(), with);
  }
}

void Notice(const std::string& message, const char* hint) {
  QuietLog(NOTICE, Utf8OfServer(message).c_str(), nullptr, hint);
}

}  // namespace

Result<bool> TableMaker::Is(const std::string& question,
                            const std::vector<std::string>& values) const {
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> answer, AskLocally(question, values));
  return answer.value_or("") == "t";
}

// What would be said in other words later.
Status TableMaker::Check() {
  PITR_ASSIGN_OR_RETURN(const bool has_schema,
                        Is("SELECT to_regnamespace($1) IS NOT NULL", {quoted_schema_}));
  if (!has_schema) {
    RaiseAs("3F000", "schema \"" + made_.schema + "\" does not exist",
            "Create it, or name another place with into_table.");
  }
  PITR_ASSIGN_OR_RETURN(const bool is_taken, Is("SELECT to_regclass($1) IS NOT NULL", {quoted_}));
  if (is_taken) {
    RaiseAs("42P07", "relation \"" + made_.name + "\" already exists",
            "Name another one with into_table; mode => 'missing' or 'replace' brings rows into a "
            "table that is there.");
  }
  for (const PastColumn& column : past_.columns) {
    PITR_ASSIGN_OR_RETURN(const bool has_type,
                          Is("SELECT to_regtype($1) IS NOT NULL", {column.type}));
    if (!has_type) {
      RaiseAs("42704",
              "type " + column.type + " of column \"" + column.name + "\" does not exist any more",
              "Create it as it was then (pitr_schema_of shows how), or read the rows with "
              "pitr_query_at.");
    }
  }
  return Status::Ok();
}

// The name of then where nobody has it, else one that tells of the new table.
Result<std::string> TableMaker::NameFor(const std::string& name) {
  const auto known = std::find_if(names_.begin(), names_.end(),
                                  [&](const auto& pair) { return pair.first == name; });
  if (known != names_.end()) return known->second;
  std::string chosen = name;
  PITR_ASSIGN_OR_RETURN(const bool is_taken, Is("SELECT to_regclass($1) IS NOT NULL",
                                                {quoted_schema_ + "." + Identifier(name)}));
  if (is_taken || name == made_.name) {
    const std::string head = past_.name + "_";
    const std::string tail = name.starts_with(head) ? name.substr(head.size()) : name;
    const char* free = Call([&] {
      return ChooseRelationName(made_.name.c_str(), nullptr, tail.c_str(),
                                get_namespace_oid(made_.schema.c_str(), false), false);
    });
    chosen = free;
  }
  names_.emplace_back(name, chosen);
  return chosen;
}

Status TableMaker::RunPart(const PastPart& part) {
  std::string command = part.before;
  if (part.name) {
    PITR_ASSIGN_OR_RETURN(const std::string name, NameFor(*part.name));
    command += Identifier(name);
    if (part.phase == kSequence && part.needs) {
      literals_.emplace_back(*part.needs,
                             Literal(quoted_schema_ + "." + Identifier(name)) + "::regclass");
    }
  }
  command += part.after;
  if (part.phase > kColumn && part.phase < kIndex) {
    for (const auto& [then, now] : literals_)
      Replace(&command, then, now);
  }
  return RunLocally(command).status();
}

Status TableMaker::MakeEmpty() {
  PITR_RETURN_IF_ERROR(RunPhases(kSequence, kIndex));
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> oid,
                        AskLocally("SELECT $1::regclass::oid::text", {quoted_}));
  oid_ = static_cast<Oid>(std::strtoul(oid.value_or("").c_str(), nullptr, 10));
  return Status::Ok();
}

Status TableMaker::HandOver() {
  constexpr char kMay[] =
      "SELECT r.rolname = current_user OR (pg_has_role(r.oid, $3) AND ((SELECT rolsuper FROM "
      "pg_roles WHERE rolname = current_user)"
      " OR has_schema_privilege(r.oid, $2, 'CREATE'))) FROM pg_roles r WHERE r.rolname = $1";
  PITR_ASSIGN_OR_RETURN(const bool may,
                        Is(kMay, {past_.owner, made_.schema, PITR_RIGHT_TO_BECOME}));
  if (may) {
    PITR_RETURN_IF_ERROR(
        RunLocally("ALTER TABLE " + quoted_ + " OWNER TO " + Identifier(past_.owner)).status());
  } else {
    Notice("table " + quoted_ + " is yours: role \"" + past_.owner +
               "\", which had it then, is gone or not one that you may give it to",
           nullptr);
  }
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> owner,
                        AskLocally("SELECT relowner::text FROM pg_class WHERE oid = $1::oid",
                                   {std::to_string(oid_)}));
  owner_ = static_cast<Oid>(std::strtoul(owner.value_or("").c_str(), nullptr, 10));
  return Status::Ok();
}

// What ALTER DEFAULT PRIVILEGES gives away today was not given then.
Status TableMaker::ForgetDefaultGrants() {
  PITR_ASSIGN_OR_RETURN(
      const LocalResult commands,
      RunLocally("SELECT DISTINCT format('REVOKE ALL ON %s %s FROM %s', CASE c.relkind WHEN 'S' "
                 "THEN 'SEQUENCE' ELSE 'TABLE' END,"
                 " c.oid::regclass, CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE "
                 "quote_ident(pg_get_userbyid(e.grantee)) END)"
                 " FROM pg_class c, aclexplode(c.relacl) e WHERE e.grantee <> c.relowner AND "
                 "(c.oid = $1::oid OR c.oid IN"
                 " (SELECT objid FROM pg_depend WHERE refobjid = $1::oid AND refclassid = "
                 "'pg_class'::regclass"
                 " AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')))",
                 {std::to_string(oid_)}));
  for (const LocalRow& row : commands.rows)
    PITR_RETURN_IF_ERROR(RunLocally(row[0].value_or("")).status());
  return Status::Ok();
}

Result<std::uint64_t> TableMaker::Fill() {
  RowsThere rows{client_, {}, {}};
  std::vector<std::string> quoted;
  for (const PastColumn& column : past_.columns) {
    if (column.is_generated) continue;
    rows.columns.push_back(column.name);
    quoted.push_back(Identifier(column.name));
  }
  rows.command = CopyCommand(past_, quoted);
  return CopyInto(rows, oid_);
}

// Roles that are gone have nothing to be given.
Status TableMaker::Grant(const PastPart& part) {
  if (part.needs) {
    PITR_ASSIGN_OR_RETURN(const bool is_there,
                          Is("SELECT true FROM pg_roles WHERE rolname = $1 AND oid <> $2::oid",
                             {*part.needs, std::to_string(owner_)}));
    if (!is_there) return Status::Ok();
  }
  return RunPart(part);
}

// It holds for rows to come in any case, and for those that came if they all have what they point at.
Status TableMaker::AddForeignKey(const PastPart& part) {
  const bool is_checked =
      !part.before.ends_with(" NOT VALID") && !part.before.ends_with(" NOT ENFORCED");
  PITR_ASSIGN_OR_RETURN(const std::optional<std::string> why_not,
                        TryLocally(part.before + (is_checked ? " NOT VALID" : "")));
  if (why_not) {
    Notice("foreign key \"" + part.after + "\" is left out: " + *why_not, nullptr);
    return Status::Ok();
  }
  if (!is_checked) return Status::Ok();
  PITR_ASSIGN_OR_RETURN(
      const std::optional<std::string> oid,
      AskLocally("SELECT oid::text FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
                 {std::to_string(oid_), part.after}));
  Result<std::vector<std::string>> found = ViolationsOf(oid.value_or("0"), 1);
  if (!found.ok() && found.status().code() != Code::kPermission &&
      found.status().code() != Code::kUnsupported) {
    return found.status();
  }
  const std::vector<std::string> against =
      found.ok() ? *std::move(found) : std::vector<std::string>{found.status().message()};
  if (against.empty()) {
    return RunLocally("ALTER TABLE " + quoted_ + " VALIDATE CONSTRAINT " + Identifier(part.after))
        .status();
  }
  Notice("foreign key \"" + part.after + "\" is NOT VALID: " + against[0],
         "Once it holds: ALTER TABLE ... VALIDATE CONSTRAINT.");
  return Status::Ok();
}

Status TableMaker::AddPolicy(const PastPart& part) {
  std::string roles = "PUBLIC";
  if (part.needs) {
    PITR_ASSIGN_OR_RETURN(const std::optional<std::string> there,
                          AskLocally("SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles"
                                     " WHERE rolname = ANY ($1::name[])",
                                     {*part.needs}));
    if (!there) return Status::Ok();
    roles = *there;
  }
  return RunLocally(part.before + roles + part.after).status();
}

Status TableMaker::RunPhases(int first, int end) {
  for (const PastPart& part : parts_) {
    if (part.phase < first || part.phase >= end) continue;
    if (part.phase == kGrant) {
      PITR_RETURN_IF_ERROR(Grant(part));
    } else if (part.phase == kPolicy) {
      PITR_RETURN_IF_ERROR(AddPolicy(part));
    } else {
      PITR_RETURN_IF_ERROR(RunPart(part));
    }
  }
  return Status::Ok();
}

// As the caller again, who may refer to more tables than the owner.
Status TableMaker::AddForeignKeys() {
  for (const PastPart& part : parts_) {
    if (part.phase == kForeignKey) {
      PITR_RETURN_IF_ERROR(AddForeignKey(part));
    } else if (part.phase == kForeignKeyComment) {
      PITR_ASSIGN_OR_RETURN(
          const bool is_there,
          Is("SELECT true FROM pg_constraint WHERE conrelid = $1::oid AND conname = $2",
             {std::to_string(oid_), part.after}));
      if (is_there) PITR_RETURN_IF_ERROR(RunLocally(part.before).status());
    }
  }
  return Status::Ok();
}

Result<std::uint64_t> TableMaker::Make() {
  quoted_schema_ = Identifier(made_.schema);
  quoted_ = quoted_schema_ + "." + Identifier(made_.name);
  PITR_RETURN_IF_ERROR(Check());
  PITR_ASSIGN_OR_RETURN(parts_, PartsOf(client_, past_, quoted_, quoted_schema_));
  PITR_RETURN_IF_ERROR(MakeEmpty());
  PITR_RETURN_IF_ERROR(HandOver());
  PITR_ASSIGN_OR_RETURN(const std::uint64_t count, AsRole(owner_, [&] { return Fill(); }));
  // The server itself runs expressions of indexes as the owner, who need not be allowed to make one in that schema.
  PITR_RETURN_IF_ERROR(RunPhases(kIndex, kCheck));
  PITR_RETURN_IF_ERROR(AsRole(owner_, [&]() -> Status {
    PITR_RETURN_IF_ERROR(ForgetDefaultGrants());
    PITR_RETURN_IF_ERROR(RunPhases(kCheck, kForeignKey));
    return AdvanceSequences(past_, oid_, quoted_);
  }));
  PITR_RETURN_IF_ERROR(AddForeignKeys());
  return count;
}

Status AdvanceSequences(const PastTable& past, Oid table, const std::string& quoted) {
  for (const PastSequence& sequence : past.sequences) {
    std::optional<std::string> value = sequence.value;
    const std::string column = Identifier(sequence.column);
    constexpr char kOfColumn[] =
        "SELECT pg_get_serial_sequence($1, attname) FROM pg_attribute"
        " WHERE attrelid = $2::oid AND attname = $3 AND NOT attisdropped";
    PITR_ASSIGN_OR_RETURN(const std::optional<std::string> now,
                          AskLocally(kOfColumn, {quoted, std::to_string(table), sequence.column}));
    if (!now) continue;
    if (!value) {
      PITR_ASSIGN_OR_RETURN(value, AskLocally("SELECT max(" + column + ")::text FROM " + quoted));
    }
    if (!value) continue;
    PITR_RETURN_IF_ERROR(
        RunLocally(
            "SELECT setval(s.seqrelid::regclass, $2::bigint) FROM pg_sequence s, LATERAL"
            " (SELECT CASE WHEN has_sequence_privilege(s.seqrelid, 'USAGE, SELECT') THEN "
            "pg_sequence_last_value(s.seqrelid) END) AS l(at)"
            " WHERE s.seqrelid = $1::regclass AND has_sequence_privilege(s.seqrelid, 'UPDATE')"
            " AND $2::bigint BETWEEN s.seqmin AND s.seqmax AND (l.at IS NULL"
            " OR (s.seqincrement > 0 AND l.at < $2::bigint) OR (s.seqincrement < 0 AND l.at > "
            "$2::bigint))",
            {*now, *value})
            .status());
  }
  return Status::Ok();
}

}  // namespace pitr::pg
