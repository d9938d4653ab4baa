// What a process of ours outside of the server learns of one of several repositories is said, not only remembered.
#pragma once

namespace pitr::tool {

class JobOutput;

// Damage goes to standard error.
void TellOfMembers();
// {"member":{…}} for the worker (JOBS.md). `output` lives as long as the process.
void TellOfMembers(JobOutput* output);

}  // namespace pitr::tool
