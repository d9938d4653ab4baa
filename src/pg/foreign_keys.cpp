#include "pg/foreign_keys.h"

#include <cstdlib>

#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

constexpr char kAround[] =
    "WITH RECURSIVE k AS (SELECT oid, conparentid FROM pg_constraint WHERE contype = 'f' AND "
    "convalidated AND $1::oid IN (conrelid, confrelid)"
    " UNION SELECT up.oid, up.conparentid FROM k JOIN pg_constraint up ON up.oid = k.conparentid)"
    " SELECT oid::text FROM k WHERE conparentid = 0 ORDER BY oid";

// Who may run it, the less the better, and a query that finds them. The operators are the constraint's own.
constexpr char kQuery[] =
    "SELECT (SELECT o.role::text FROM unnest(ARRAY[c.relowner, r.relowner, (SELECT oid FROM "
    "pg_roles WHERE rolname = current_user)])"
    " WITH ORDINALITY o(role, n) WHERE has_table_privilege(o.role, c.oid, 'SELECT') AND "
    "has_table_privilege(o.role, r.oid, 'SELECT')"
    " ORDER BY o.n LIMIT 1), format('SELECT format(%L, %s) FROM %s%s f WHERE (%s) AND NOT EXISTS "
    "(SELECT FROM %s%s p WHERE %s) LIMIT ',"
    " format('Key (%s)=(%%s) of table \"%s\" is not present in table \"%s\" (%s).', "
    "string_agg(replace(a.attname, '%', '%%'), ', ' ORDER BY n),"
    " replace(c.relname, '%', '%%'), replace(r.relname, '%', '%%'), replace(k.conname, '%', '%%')),"
    " format('concat_ws('', '', %s)', string_agg(format('f.%I', a.attname), ', ' ORDER BY n)),"
    " CASE c.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, c.oid::regclass,"
    " string_agg(format('f.%I IS NOT NULL', a.attname), CASE k.confmatchtype WHEN 'f' THEN ' OR ' "
    "ELSE ' AND ' END),"
    " CASE r.relkind WHEN 'p' THEN '' ELSE 'ONLY ' END, r.oid::regclass,"
    " string_agg(format('p.%I OPERATOR(%I.%s) f.%I', b.attname, s.nspname, o.oprname, a.attname), "
    "' AND '))"
    " FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_class r ON r.oid = "
    "k.confrelid,"
    " LATERAL unnest(k.conkey, k.confkey, k.conpfeqop) WITH ORDINALITY u(here, there, operator, n)"
    " JOIN pg_operator o ON o.oid = u.operator JOIN pg_namespace s ON s.oid = o.oprnamespace,"
    " pg_attribute a, pg_attribute b WHERE k.oid = $1::oid AND a.attrelid = k.conrelid AND "
    "a.attnum = u.here"
    " AND b.attrelid = k.confrelid AND b.attnum = u.there"
    " AND to_jsonb(k)->>'conperiod' IS DISTINCT FROM 'true'"
    " GROUP BY k.oid, k.conname, k.confmatchtype, c.oid, c.relowner, c.relname, c.relkind, r.oid, "
    "r.relname, r.relkind";

}  // namespace

Result<std::vector<std::string>> ForeignKeysAround(Oid table) {
  PITR_ASSIGN_OR_RETURN(const LocalResult found, RunLocally(kAround, {std::to_string(table)}));
  std::vector<std::string> oids;
  for (const LocalRow& row : found.rows)
    oids.push_back(row[0].value_or(""));
  return oids;
}

Result<std::vector<std::string>> ViolationsOf(const std::string& constraint, std::size_t most) {
  PITR_ASSIGN_OR_RETURN(const LocalResult query, RunLocally(kQuery, {constraint}));
  if (query.rows.empty())
    return Status(Code::kUnsupported, "a foreign key over periods cannot be checked here");
  if (!query.rows[0][0])
    return Status(Code::kPermission,
                  "neither you nor an owner may read both tables of a foreign key");
  const Oid reader = static_cast<Oid>(std::strtoul(query.rows[0][0]->c_str(), nullptr, 10));
  const std::string text = query.rows[0][1].value_or("") + std::to_string(most);
  PITR_ASSIGN_OR_RETURN(const LocalResult found, AsRole(reader, [&] { return RunLocally(text); }));
  std::vector<std::string> lines;
  for (const LocalRow& row : found.rows)
    lines.push_back(row[0].value_or(""));
  return lines;
}

}  // namespace pitr::pg
