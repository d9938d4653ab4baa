// The commands of the multi-call program; each takes what stands behind its name and returns the exit status.
#pragma once

#include <string>
#include <vector>

namespace pitr::tool {

int WalGetMain(const std::vector<std::string>& arguments);
int RestoreMain(const std::vector<std::string>& arguments);
int InfoMain(const std::vector<std::string>& arguments);
int VerifyMain(const std::vector<std::string>& arguments);
int DumpListMain(const std::vector<std::string>& arguments);
int DumpGetMain(const std::vector<std::string>& arguments);
int JobMain(const std::vector<std::string>& arguments);
int ComputeMain(const std::vector<std::string>& arguments);
int GuardMain(const std::vector<std::string>& arguments);

}  // namespace pitr::tool
