#include "pg/past_server.h"

#include "pg/boundary.h"
#include "pg/postgres_headers.h"

extern "C" {
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_namespace.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "nodes/value.h"
#include "utils/acl.h"
}

namespace pitr::pg {

namespace {

// Rows of postgres_fdw's cursors that are in memory at once.
constexpr char kFetchSize[] = "1000";

// What follows are a server's calls on plain values; each may raise.

List* AddOption(List* options, const char* name, const char* value) {
  DefElem* option =
      makeDefElem(pstrdup(name), reinterpret_cast<Node*>(makeString(pstrdup(value))), -1);
  return lappend(options, option);
}

RoleSpec* RoleNamed(const char* name) {
  RoleSpec* role = makeNode(RoleSpec);
  role->roletype = ROLESPEC_CSTRING;
  role->rolename = pstrdup(name);
  role->location = -1;
  return role;
}

ObjectAddress MakeServer(const PastServerSpec& spec, const char* port) {
  CreateForeignServerStmt* statement = makeNode(CreateForeignServerStmt);
  statement->servername = pstrdup(spec.name.c_str());
  statement->servertype = pstrdup("pitr_ext");
  statement->version = pstrdup(spec.point.c_str());
  statement->fdwname = pstrdup("postgres_fdw");
  List* options = AddOption(NIL, "host", spec.host.c_str());
  options = AddOption(options, "port", port);
  options = AddOption(options, "dbname", spec.database.c_str());
  options = AddOption(options, "fetch_size", kFetchSize);
  options = AddOption(options, "updatable", "false");
  options = AddOption(options, "truncatable", "false");
  statement->options = options;
  return CreateForeignServer(statement);
}

void GrantUsage(const PastServerSpec& spec, const char* grantee) {
  AccessPriv* usage = makeNode(AccessPriv);
  usage->priv_name = pstrdup("usage");
  GrantStmt* statement = makeNode(GrantStmt);
  statement->is_grant = true;
  statement->targtype = ACL_TARGET_OBJECT;
  statement->objtype = OBJECT_FOREIGN_SERVER;
  statement->objects = lappend(NIL, makeString(pstrdup(spec.name.c_str())));
  statement->privileges = lappend(NIL, usage);
  statement->grantees = lappend(NIL, RoleNamed(grantee));
  statement->behavior = DROP_RESTRICT;
  ExecuteGrantStmt(statement);
}

ObjectAddress MakeMapping(const PastServerSpec& spec, const char* user) {
  CreateUserMappingStmt* statement = makeNode(CreateUserMappingStmt);
  statement->user = RoleNamed(user);
  statement->servername = pstrdup(spec.name.c_str());
  List* options = AddOption(NIL, "user", spec.role.c_str());
  statement->options = AddOption(options, "password_required", "false");
  return CreateUserMapping(statement);
}

// Both go when the schema does, also by hand.
void GoWithSchema(const ObjectAddress& object, Oid schema) {
  ObjectAddress owner;
  ObjectAddressSet(owner, NamespaceRelationId, schema);
  recordDependencyOn(&object, &owner, DEPENDENCY_AUTO);
}

}  // namespace

// No statement is parsed and no trigger of statements runs while the rights are those of the bootstrap superuser. An error gives them back with the
// (sub)transaction.
void MakePastServer(const PastServerSpec& spec) {
  const std::string port = std::to_string(spec.port);
  Call([&] {
    Oid caller = InvalidOid;
    int context = 0;
    GetUserIdAndSecContext(&caller, &context);
    const char* name = GetUserNameFromId(caller, false);
    SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, context | SECURITY_LOCAL_USERID_CHANGE);
    const ObjectAddress server = MakeServer(spec, port.c_str());
    CommandCounterIncrement();
    GrantUsage(spec, name);
    CommandCounterIncrement();
    const ObjectAddress mapping = MakeMapping(spec, name);
    GoWithSchema(server, spec.schema);
    GoWithSchema(mapping, spec.schema);
    SetUserIdAndSecContext(caller, context);
    CommandCounterIncrement();
  });
}

}  // namespace pitr::pg
