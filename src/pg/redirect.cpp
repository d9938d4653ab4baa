#include "pg/redirect.h"

#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include "core/demand/calls.h"

namespace pitr::pg {

namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kJumpSlot = R_X86_64_JUMP_SLOT, kGlobData = R_X86_64_GLOB_DAT,
                        kAddress = R_X86_64_64;
#elif defined(__aarch64__)
constexpr std::uint32_t kJumpSlot = R_AARCH64_JUMP_SLOT, kGlobData = R_AARCH64_GLOB_DAT,
                        kAddress = R_AARCH64_ABS64;
#else
#define PITR_NO_REDIRECTION 1
constexpr std::uint32_t kJumpSlot = ~0U, kGlobData = ~0U, kAddress = ~0U;
#endif

namespace calls = demand::calls;

struct Entry {
  const char* name;
  void* replacement;
  bool is_needed;  // some exist in later majors only
  void** slot;
  int found;
};

template <typename Function>
Entry Make(const char* name, Function* replacement, bool is_needed) {
  return {name, reinterpret_cast<void*>(replacement), is_needed, nullptr, 0};
}

using Entries = std::array<Entry, 17>;
Entries MakeEntries() {
  return {{
      Make("open", calls::Open, true),
      Make("close", calls::Close, true),
      Make("read", calls::Read, true),
      Make("__read_chk", calls::ReadChecked, false),
      Make("write", calls::Write, true),
      Make("pread", calls::Pread, true),
      Make("preadv", calls::Preadv, false),
      Make("pwrite", calls::Pwrite, true),
      Make("pwritev", calls::Pwritev, true),
      Make("ftruncate", calls::Ftruncate, true),
      Make("truncate", calls::Truncate, true),
      Make("copy_file_range", calls::CopyFileRange, false),
      Make("posix_fadvise", calls::Fadvise, false),
      Make("fsync", calls::Fsync, true),
      Make("unlink", calls::Unlink, true),
      Make("rename", calls::Rename, true),
      Make("fopen", calls::Fopen, true),
  }};
}

// Other ways to the contents of a file or to a descriptor of one. A binary that uses one was built otherwise than those that we know.
// posix_fallocate is not among them: what it makes lies behind the file's end, where nothing is ever missing. mmap, sync_file_range,
// lseek, dup and link are used for other things, or see no contents (internals 23).
constexpr const char* kUnknownWays[] = {
    "__fread_chk", "__open64_2", "__open_2", "__openat64_2", "__openat_2", "__pread64_chk",
    "__pread_chk", "creat",      "creat64",  "fopen64",      "freopen64",  "ftruncate64",
    "open64",      "openat",     "openat64", "openat2",      "pread64",    "preadv2",
    "preadv64",    "preadv64v2", "pwrite64", "pwritev2",     "pwritev64",  "pwritev64v2",
    "renameat",    "renameat2",  "sendfile", "sendfile64",   "splice",     "truncate64",
    "unlinkat",
};

constinit char problem[256] = "the calls were not looked at";

// What the dynamic section of the main program says.
struct Program {
  std::uintptr_t base = 0, relro_begin = 0, relro_end = 0;
  const ElfW(Rela) * plt = nullptr, *rela = nullptr;
  std::size_t plt_count = 0, rela_count = 0;
  const ElfW(Sym) * symbols = nullptr;
  const char* strings = nullptr;
};

void ReadDynamic(const ElfW(Dyn) * entry, Program* program) {
  // The loader has made addresses of them, but for the binaries that it could not write to.
  const auto address = [program](std::uintptr_t value) {
    return value < program->base ? program->base + value : value;
  };
  for (; entry->d_tag != DT_NULL; entry++) {
    switch (entry->d_tag) {
      case DT_JMPREL:
        program->plt = reinterpret_cast<const ElfW(Rela)*>(address(entry->d_un.d_ptr));
        break;
      case DT_PLTRELSZ:
        program->plt_count = entry->d_un.d_val / sizeof(ElfW(Rela));
        break;
      case DT_RELA:
        program->rela = reinterpret_cast<const ElfW(Rela)*>(address(entry->d_un.d_ptr));
        break;
      case DT_RELASZ:
        program->rela_count = entry->d_un.d_val / sizeof(ElfW(Rela));
        break;
      case DT_SYMTAB:
        program->symbols = reinterpret_cast<const ElfW(Sym)*>(address(entry->d_un.d_ptr));
        break;
      case DT_STRTAB:
        program->strings = reinterpret_cast<const char*>(address(entry->d_un.d_ptr));
        break;
      default:
        break;
    }
  }
}

// The main program comes first.
int TakeFirst(struct dl_phdr_info* info, std::size_t, void* out) {
  auto* program = static_cast<Program*>(out);
  program->base = info->dlpi_addr;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr)& header = info->dlpi_phdr[i];
    if (header.p_type == PT_DYNAMIC) {
      ReadDynamic(reinterpret_cast<const ElfW(Dyn)*>(program->base + header.p_vaddr), program);
    } else if (header.p_type == PT_GNU_RELRO) {
      program->relro_begin = program->base + header.p_vaddr;
      program->relro_end = program->relro_begin + header.p_memsz;
    }
  }
  return 1;
}

bool IsUnknownWay(const char* name) {
  for (const char* way : kUnknownWays) {
    if (std::strcmp(name, way) == 0) return true;
  }
  return false;
}

bool LookAt(const Program& program, const ElfW(Rela) * relocations, std::size_t count,
            Entries* entries) {
  for (std::size_t i = 0; i < count; i++) {
    const std::uint64_t type = ELF64_R_TYPE(relocations[i].r_info);
    const std::uint64_t symbol = ELF64_R_SYM(relocations[i].r_info);
    if (symbol == 0 || (type != kJumpSlot && type != kGlobData && type != kAddress)) continue;
    const ElfW(Sym)& entry = program.symbols[symbol];
    const char* name = program.strings + entry.st_name;
    // Functions of its own are in the table as well, for libraries to find.
    if (entry.st_shndx != SHN_UNDEF) continue;
    if (IsUnknownWay(name)) {
      std::snprintf(problem, sizeof problem, "the server uses %s()", name);
      return false;
    }
    for (Entry& each : *entries) {
      if (std::strcmp(name, each.name) != 0) continue;
      each.found += type == kAddress
                        ? 2
                        : 1;  // a table of function pointers is more than one entry to know of
      each.slot = reinterpret_cast<void**>(program.base + relocations[i].r_offset);
    }
  }
  return true;
}

bool AreAllFoundOnce(const Entries& entries) {
  for (const Entry& entry : entries) {
    if (entry.found > 1 || (entry.is_needed && entry.found != 1)) {
      std::snprintf(problem, sizeof problem, "the server refers to %s() %s", entry.name,
                    entry.found == 0 ? "nowhere" : "in several places");
      return false;
    }
  }
  return true;
}

bool Replace(const Program& program, const Entry& entry) {
  const auto page_size = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t page = reinterpret_cast<std::uintptr_t>(entry.slot) & ~(page_size - 1);
  const bool is_protected = reinterpret_cast<std::uintptr_t>(entry.slot) >= program.relro_begin &&
                            reinterpret_cast<std::uintptr_t>(entry.slot) < program.relro_end;
  void* const at = reinterpret_cast<void*>(page);
  if (is_protected && mprotect(at, page_size, PROT_READ | PROT_WRITE) != 0) return false;
  *entry.slot = entry.replacement;
  return !is_protected || mprotect(at, page_size, PROT_READ) == 0;
}

}  // namespace

void RedirectCalls() {
  Program program;
  Entries entries = MakeEntries();
  dl_iterate_phdr(TakeFirst, &program);
#ifdef PITR_NO_REDIRECTION
  std::snprintf(problem, sizeof problem, "not on this kind of processor");
  return;
#endif
  if (program.symbols == nullptr || program.strings == nullptr ||
      (program.plt == nullptr && program.rela == nullptr)) {
    std::snprintf(problem, sizeof problem, "the server's program has no dynamic symbols");
    return;
  }
  if (!LookAt(program, program.plt, program.plt_count, &entries) ||
      !LookAt(program, program.rela, program.rela_count, &entries) || !AreAllFoundOnce(entries)) {
    return;
  }
  for (const Entry& entry : entries) {
    if (entry.found == 1 && !Replace(program, entry)) {
      // Half of them is worse than none for who would rely on it, and harmless else: each passes through.
      std::snprintf(problem, sizeof problem, "%s() could not be replaced: %s", entry.name,
                    std::strerror(errno));
      return;
    }
  }
  problem[0] = '\0';
}

Status RedirectionStatus() {
  if (problem[0] == '\0') return Status::Ok();
  return Status(Code::kUnsupported,
                std::string("the server's calls could not be redirected: ") + problem);
}

}  // namespace pitr::pg
