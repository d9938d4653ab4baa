#include "pg/past_table.h"

#include <libpq-fe.h>

#include <algorithm>
#include <cstdlib>

#include "pg/look_entry.h"
#include "pg/postgres_headers.h"

namespace pitr::pg {

namespace {

// Names without a schema are the caller's to choose; afterwards all of them have one.
constexpr char kFind[] =
    "SELECT c.oid, n.nspname, c.relname, c.relkind, pg_catalog.pg_get_userbyid(c.relowner),"
    " pg_catalog.concat_ws(', ', CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE "
    "t.tgrelid = c.oid"
    " AND NOT t.tgisinternal) THEN 'triggers' END, CASE WHEN c.relhasrules THEN 'rules' END,"
    " CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_statistic_ext s WHERE s.stxrelid = c.oid) THEN "
    "'extended statistics' END,"
    " CASE WHEN c.relkind = 'p' THEN 'partitions (all rows come into one table)' END,"
    " CASE WHEN c.relhassubclass AND c.relkind = 'r' THEN 'rows of tables that inherit from it' "
    "END),"
    " pg_catalog.format('%I.%I', n.nspname, c.relname), c.relpersistence"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.oid = pg_catalog.to_regclass($1)";

constexpr char kColumns[] =
    "SELECT a.attname, format_type(a.atttypid, a.atttypmod),"
    " CASE WHEN a.attcollation <> t.typcollation THEN format('%I.%I', n.nspname, l.collname) END,"
    " a.attgenerated <> ''"
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid"
    " LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = "
    "l.collnamespace"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

constexpr char kSequences[] =
    "SELECT a.attname, s.last_value FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND "
    "c.relkind = 'S'"
    " JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_sequences s ON s.schemaname = n.nspname AND s.sequencename = c.relname"
    " JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
    " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    " AND d.refobjid = $1::oid AND d.deptype IN ('a', 'i')";

// $1 the table, $2 and $3 what is made: the table and its schema, quoted. Each row is a PastPart, the first column its place.
constexpr char kSequenceParts[] =
    "WITH s AS (SELECT c.oid, c.relname, c.relacl, c.relowner, q.*, d.deptype, a.attname, "
    "a.attidentity,"
    " format(' INCREMENT BY %s MINVALUE %s MAXVALUE %s START WITH %s CACHE %s%s', q.seqincrement, "
    "q.seqmin, q.seqmax,"
    " q.seqstart, q.seqcache, CASE WHEN q.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END) AS options"
    " FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S' JOIN pg_sequence q "
    "ON q.seqrelid = c.oid"
    " JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
    " WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass"
    " AND d.refobjid = $1::oid AND d.deptype IN ('a', 'i'))"
    " SELECT 10, s.relname::text, format('CREATE SEQUENCE %s.', $3::text),"
    " format(' AS %s%s', format_type(s.seqtypid, NULL), s.options), "
    "quote_literal(s.oid::regclass::text) || '::regclass'"
    " FROM s WHERE s.deptype = 'a'"
    " UNION ALL SELECT 30, s.relname, format('ALTER SEQUENCE %s.', $3::text), format(' OWNED BY "
    "%s.%I', $2::text, s.attname), NULL"
    " FROM s WHERE s.deptype = 'a'"
    " UNION ALL SELECT 31, s.relname, format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS "
    "IDENTITY (SEQUENCE NAME %s.',"
    " $2::text, s.attname, CASE s.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, "
    "$3::text), s.options || ')', NULL"
    " FROM s WHERE s.deptype = 'i'"
    " UNION ALL SELECT 45, s.relname, format('COMMENT ON SEQUENCE %s.', $3::text),"
    " format(' IS %L', obj_description(s.oid, 'pg_class')), NULL"
    " FROM s WHERE obj_description(s.oid, 'pg_class') IS NOT NULL"
    " UNION ALL SELECT 50, s.relname, format('GRANT %s ON SEQUENCE %s.', e.privilege_type, "
    "$3::text),"
    " format(' TO %s%s', coalesce(quote_ident(r.rolname), 'PUBLIC'), CASE WHEN e.is_grantable THEN "
    "' WITH GRANT OPTION' ELSE '' END),"
    " r.rolname FROM s, aclexplode(s.relacl) e LEFT JOIN pg_roles r ON r.oid = e.grantee"
    " WHERE e.grantee <> s.relowner AND (e.grantee = 0 OR r.oid IS NOT NULL) ORDER BY 1, 2";

constexpr char kTableParts[] =
    "WITH a AS (SELECT a.*, t.typstorage, t.typcollation, pg_get_expr(f.adbin, f.adrelid) AS "
    "expression,"
    " (SELECT format(' COLLATE %I.%I', n.nspname, l.collname) FROM pg_collation l JOIN "
    "pg_namespace n ON n.oid = l.collnamespace"
    " WHERE l.oid = a.attcollation AND a.attcollation <> t.typcollation) AS collation"
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef f ON f.adrelid "
    "= a.attrelid AND f.adnum = a.attnum"
    " WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped)"
    " SELECT 20, NULL::text, format('CREATE TABLE %s (%s)%s%s', $2::text, (SELECT "
    "string_agg(format('%I %s%s%s%s', a.attname,"
    " format_type(a.atttypid, a.atttypmod), a.collation,"
    " CASE a.attgenerated WHEN 's' THEN ' GENERATED ALWAYS AS (' || a.expression || ') STORED'"
    " WHEN 'v' THEN ' GENERATED ALWAYS AS (' || a.expression || ') VIRTUAL' END,"
    " CASE WHEN a.attnotnull THEN ' NOT NULL' END), ', ' ORDER BY a.attnum) FROM a),"
    " (SELECT format(' USING %I', m.amname) FROM pg_am m WHERE m.oid = c.relam),"
    " (SELECT ' WITH (' || string_agg(format('%I=%L', split_part(o, '=', 1), substr(o, strpos(o, "
    "'=') + 1)), ', ') || ')'"
    " FROM unnest(c.reloptions) o)), '', NULL::text FROM pg_class c WHERE c.oid = $1::oid"
    " UNION ALL SELECT 32, NULL, format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', $2::text, "
    "a.attname, a.expression), '', NULL"
    " FROM a WHERE a.expression IS NOT NULL AND a.attgenerated = ''"
    " UNION ALL SELECT 33, NULL, format('ALTER TABLE %s ALTER COLUMN %I SET STORAGE %s', $2::text, "
    "a.attname, CASE a.attstorage"
    " WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'x' THEN 'EXTENDED' ELSE 'MAIN' END), "
    "'', NULL"
    " FROM a WHERE a.attstorage <> a.typstorage"
    " UNION ALL SELECT 33, NULL, format('ALTER TABLE %s ALTER COLUMN %I SET COMPRESSION %s', "
    "$2::text, a.attname,"
    " CASE a.attcompression WHEN 'l' THEN 'lz4' ELSE 'pglz' END), '', NULL FROM a WHERE "
    "a.attcompression <> ''"
    " UNION ALL SELECT 33, NULL, format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS %s', "
    "$2::text, a.attname, a.attstattarget), '', NULL"
    " FROM a WHERE a.attstattarget >= 0"
    " UNION ALL SELECT 45, NULL, format('COMMENT ON %s IS %L', CASE d.objsubid WHEN 0 THEN 'TABLE "
    "' || $2::text ELSE"
    " format('COLUMN %s.%I', $2::text, a.attname) END, d.description), '', NULL FROM "
    "pg_description d LEFT JOIN a ON a.attnum = d.objsubid"
    " WHERE d.classoid = 'pg_class'::regclass AND d.objoid = $1::oid AND (d.objsubid = 0 OR "
    "a.attnum IS NOT NULL)"
    " UNION ALL SELECT 50, NULL, format('GRANT %s%s ON %s TO %s%s', e.privilege_type, '(' || "
    "quote_ident(g.attname) || ')', $2::text,"
    " coalesce(quote_ident(r.rolname), 'PUBLIC'), CASE WHEN e.is_grantable THEN ' WITH GRANT "
    "OPTION' END), '', r.rolname"
    " FROM pg_class c, LATERAL (SELECT NULL::name AS attname, c.relacl AS acl UNION ALL SELECT "
    "a.attname, a.attacl FROM a) g,"
    " aclexplode(g.acl) e LEFT JOIN pg_roles r ON r.oid = e.grantee"
    " WHERE c.oid = $1::oid AND e.grantee <> c.relowner AND (e.grantee = 0 OR r.oid IS NOT NULL)"
    " UNION ALL SELECT 70, NULL, format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', $2::text), '', "
    "NULL"
    " FROM pg_class c WHERE c.oid = $1::oid AND c.relrowsecurity"
    " UNION ALL SELECT 71, NULL, format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', $2::text), '', "
    "NULL"
    " FROM pg_class c WHERE c.oid = $1::oid AND c.relforcerowsecurity ORDER BY 1, 3";

constexpr char kConstraintParts[] =
    "WITH k AS (SELECT k.*, pg_get_constraintdef(k.oid) AS text FROM pg_constraint k WHERE "
    "k.conrelid = $1::oid"
    " AND k.contype IN ('p', 'u', 'x', 'c', 'f')"
    " AND NOT EXISTS (SELECT FROM pg_constraint up WHERE up.oid = k.conparentid AND up.conrelid = "
    "k.conrelid))"
    " SELECT 40, k.conname::text, format('ALTER TABLE %s ADD CONSTRAINT ', $2::text), ' ' || "
    "k.text, NULL::text FROM k"
    " WHERE k.contype IN ('p', 'u', 'x')"
    " UNION ALL SELECT 42, NULL, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2::text, "
    "k.conname, k.text), '', NULL FROM k WHERE k.contype = 'c'"
    " UNION ALL SELECT 45, CASE WHEN k.contype IN ('p', 'u', 'x') THEN k.conname END, 'COMMENT ON "
    "CONSTRAINT '"
    " || CASE WHEN k.contype = 'c' THEN quote_ident(k.conname) ELSE '' END,"
    " format(' ON %s IS %L', $2::text, obj_description(k.oid, 'pg_constraint')), NULL FROM k"
    " WHERE k.contype <> 'f' AND obj_description(k.oid, 'pg_constraint') IS NOT NULL"
    " UNION ALL SELECT 80, NULL, format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2::text, "
    "k.conname, CASE WHEN k.confrelid = k.conrelid THEN"
    " replace(k.text, ' REFERENCES ' || k.conrelid::regclass || '(', ' REFERENCES ' || $2::text || "
    "'(') ELSE k.text END), k.conname,"
    " NULL FROM k WHERE "
    "k.contype = 'f'"
    " UNION ALL SELECT 81, NULL, format('COMMENT ON CONSTRAINT %I ON %s IS %L', k.conname, "
    "$2::text, obj_description(k.oid, 'pg_constraint')), k.conname, NULL"
    " FROM k WHERE k.contype = 'f' AND obj_description(k.oid, 'pg_constraint') IS NOT NULL ORDER "
    "BY 1, 2, 3";

// What stands before " USING" is made of names alone, so it can be told from the rest.
constexpr char kIndexParts[] =
    "WITH i AS (SELECT x.*, c.relname, c.relkind, pg_get_indexdef(c.oid) AS text,"
    " format('CREATE %sINDEX %I ON ', CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END, "
    "c.relname) AS head,"
    " EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = c.oid AND k.contype IN ('p', 'u', "
    "'x')) AS is_of_constraint"
    " FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = $1::oid AND "
    "x.indisvalid)"
    " SELECT 41, i.relname::text, format('CREATE %sINDEX ', CASE WHEN i.indisunique THEN 'UNIQUE ' "
    "ELSE '' END), format(' ON %s%s', $2::text,"
    " substr(i.text, length(i.head || CASE WHEN starts_with(i.text, i.head || 'ONLY ') THEN 'ONLY "
    "' ELSE '' END || i.indrelid::regclass) + 1)),"
    " NULL::text FROM i WHERE NOT i.is_of_constraint"
    " UNION ALL SELECT 43, i.relname, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX ', "
    "$2::text), '', NULL FROM i WHERE i.indisreplident"
    " UNION ALL SELECT 43, NULL, format('ALTER TABLE %s REPLICA IDENTITY %s', $2::text, CASE "
    "c.relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END), '', NULL"
    " FROM pg_class c WHERE c.oid = $1::oid AND c.relreplident IN ('f', 'n')"
    " UNION ALL SELECT 45, i.relname, format('COMMENT ON INDEX %s.', $3::text), format(' IS %L', "
    "obj_description(i.indexrelid, 'pg_class')), NULL"
    " FROM i WHERE obj_description(i.indexrelid, 'pg_class') IS NOT NULL ORDER BY 1, 2";

// A policy is of roles that may be gone; without them it is nobody's.
constexpr char kPolicyParts[] =
    "SELECT 72, NULL::text, format('CREATE POLICY %I ON %s AS %s FOR %s TO ', p.polname, $2::text, "
    "CASE WHEN p.polpermissive THEN 'PERMISSIVE'"
    " ELSE 'RESTRICTIVE' END, CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' "
    "THEN 'UPDATE' WHEN 'd' THEN 'DELETE'"
    " ELSE 'ALL' END), concat(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', ' WITH "
    "CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')'),"
    " CASE WHEN p.polroles <> '{0}' THEN (SELECT array_agg(r.rolname)::text FROM pg_roles r WHERE "
    "r.oid = ANY (p.polroles)) END"
    " FROM pg_policy p WHERE p.polrelid = $1::oid ORDER BY p.polname";

std::optional<std::string> Field(const pg_result* rows, int row, int column) {
  if (PQgetisnull(rows, row, column) != 0) return std::nullopt;
  return std::string(PQgetvalue(rows, row, column));
}

Status PrepareSession(LookClient* client) {
  return client
      ->Query(
          "SELECT pg_catalog.set_config('search_path', 'pg_catalog', false),"
          " pg_catalog.set_config('row_security', 'off', false)")
      .status();
}

Status AddParts(LookClient* client, const char* query, const std::vector<std::string>& values,
                std::vector<PastPart>* parts) {
  PITR_ASSIGN_OR_RETURN(const ResultPtr rows, client->Query(query, values));
  for (int i = 0; i < PQntuples(rows.get()); i++) {
    parts->push_back({std::atoi(PQgetvalue(rows.get(), i, 0)), Field(rows.get(), i, 1),
                      PQgetvalue(rows.get(), i, 2), PQgetvalue(rows.get(), i, 3),
                      Field(rows.get(), i, 4)});
  }
  return Status::Ok();
}

}  // namespace

Result<PastTable> DescribePastTable(LookClient* client, const std::string& relation) {
  PITR_ASSIGN_OR_RETURN(const ResultPtr found, client->Query(kFind, {relation}));
  if (PQntuples(found.get()) == 0) {
    RaiseAs("42P01", "relation \"" + relation + "\" did not exist at that point",
            "Name it as it was called then, with its schema; pitr_find_events tells of drops.");
  }
  const auto fact = [&](int column) { return std::string(PQgetvalue(found.get(), 0, column)); };
  if (fact(3) != "r" && fact(3) != "p")
    RaiseAs("42809", "\"" + relation + "\" was not a table at that point", nullptr);
  if (fact(7) == "u") {
    RaiseAs("0A000", "table \"" + relation + "\" was unlogged at that point",
            "Rows of unlogged tables are not in the WAL, and nowhere but in the server.");
  }
  PastTable table{fact(0), fact(1), fact(2), fact(6), fact(4), fact(3) == "p", {}, {}, fact(5)};
  PITR_RETURN_IF_ERROR(PrepareSession(client));
  PITR_ASSIGN_OR_RETURN(const ResultPtr columns, client->Query(kColumns, {table.oid}));
  for (int i = 0; i < PQntuples(columns.get()); i++) {
    table.columns.push_back({PQgetvalue(columns.get(), i, 0), PQgetvalue(columns.get(), i, 1),
                             PQgetvalue(columns.get(), i, 2),
                             *PQgetvalue(columns.get(), i, 3) == 't'});
  }
  PITR_ASSIGN_OR_RETURN(const ResultPtr sequences, client->Query(kSequences, {table.oid}));
  for (int i = 0; i < PQntuples(sequences.get()); i++)
    table.sequences.push_back({PQgetvalue(sequences.get(), i, 0), Field(sequences.get(), i, 1)});
  return table;
}

std::string CopyCommand(const PastTable& table, const std::vector<std::string>& quoted_columns) {
  std::string list;
  for (const std::string& column : quoted_columns)
    list += (list.empty() ? "" : ", ") + column;
  if (table.is_partitioned || list.empty())
    return "COPY (SELECT " + list + " FROM " + table.quoted + ") TO STDOUT";
  return "COPY " + table.quoted + " (" + list + ") TO STDOUT";
}

Result<std::vector<PastPart>> PartsOf(LookClient* client, const PastTable& past,
                                      const std::string& table, const std::string& schema) {
  std::vector<PastPart> parts;
  const std::vector<std::string> both = {past.oid, table}, all = {past.oid, table, schema};
  PITR_RETURN_IF_ERROR(AddParts(client, kSequenceParts, all, &parts));
  PITR_RETURN_IF_ERROR(AddParts(client, kTableParts, both, &parts));
  PITR_RETURN_IF_ERROR(AddParts(client, kConstraintParts, both, &parts));
  PITR_RETURN_IF_ERROR(AddParts(client, kIndexParts, all, &parts));
  PITR_RETURN_IF_ERROR(AddParts(client, kPolicyParts, both, &parts));
  std::stable_sort(parts.begin(), parts.end(),
                   [](const PastPart& a, const PastPart& b) { return a.phase < b.phase; });
  return parts;
}

}  // namespace pitr::pg
