// pitr.synchronous: commits wait until the repository has them. The server's own synchronous replication does the waiting; the
// confirmer (confirmer.cpp) is its standby "pitr" and confirms what the tail shipper has brought into the repository.
//
// Everything may THROW ErrorInFlight. REQUIRES: GetShared() is not null.
#pragma once

#include <string>

#include "core/base/status.h"
#include "core/types/lsn.h"
#include "pg/replication_client.h"

namespace pitr::pg {

// In synchronous_standby_names, and application_name of the connection.
inline constexpr const char* kStandbyName = "pitr";

// --- for the confirmer ---
// From the confirmer: makes itself known, until its end. False when another living process is it.
bool BecomeConfirmer();
bool HasConfirmer();
// The connection stands (0: none does, because of `error`).
void AnnounceSender(int sender_pid, const std::string& error);
// The process is one of this server's WAL senders: the connection leads to this server and no other.
bool IsOwnSender(int pid);
// First socket directory, else an address that the server listens on; the bootstrap superuser. REQUIRES: a transaction.
ReplicationTarget OwnReplicationTarget();
// Sets the latch of the confirmer, if there is one: more is durable.
void WakeConfirmer();

// --- for everybody ---
// WAL sender of the confirmer's connection; 0 when none stands.
int ConfirmersSender();
// The connection stands and the server waits for it before it acknowledges commits.
bool AreCommitsSynchronous();
// They wait, or would if the connection stood: for what is flushed there is somebody who waits.
bool DoCommitsWait();
// What synchronous_standby_names should be when the other standbys are gone: ours alone if it is listed, else empty.
std::string OwnStandbyNames();
// What is missing for pitr.synchronous, all of it, with what to write where; OK when it works or is off and nothing waits for
// it. `detail`: what to say then. REQUIRES: a transaction.
Status CheckSynchronous(std::string* detail);
// The short form for pitr_status: OK unless commits wait for ever. Needs no transaction.
Status CheckCommitsGoOn();

}  // namespace pitr::pg
