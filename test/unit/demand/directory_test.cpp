#include "core/demand/directory.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "core/demand/filler.h"
#include "core/demand/folder.h"
#include "core/demand/frame_source.h"
#include "core/demand/presence.h"
#include "unit/support/demand_maker.h"

namespace pitr::demand {
namespace {

constexpr char kTable[] = "base/5/16385";

class DemandDirectory : public ::testing::Test {
 protected:
  void Make(std::uint32_t pages = 100) {
    maker_.Relation("base/5/1259", 1, 40);
    maker_.Relation(kTable, 2, pages);
    maker_.Finish();
  }
  std::uint32_t Number(const Directory& directory, const char* path = kTable) {
    return directory.index().FindFile(path).value();
  }
  DemandMaker maker_;
};

TEST_F(DemandDirectory, APlainOneIsNone) {
  EXPECT_EQ(maker_.Open(), nullptr);
  const auto summary = ReadFolder(maker_.data());
  ASSERT_TRUE(summary.ok());
  EXPECT_FALSE(summary->is_incomplete);
}

TEST_F(DemandDirectory, LoadsAFrameForAPage) {
  Make();
  const auto directory = maker_.Open();
  ASSERT_NE(directory, nullptr);
  EXPECT_EQ(directory->AbsentBytes(), 140U * kPageBytes);
  const std::uint32_t file = Number(*directory);
  EXPECT_EQ(maker_.OnDisk(kTable, 70), Bytes(kPageBytes)) << "a hole until it is asked for";
  EXPECT_EQ(directory->Load(file, 70, 71), 0);
  EXPECT_EQ(directory->AbsentBytes(), 108U * kPageBytes);
  for (std::uint32_t page = 64; page < 96; page++) {
    EXPECT_EQ(maker_.OnDisk(kTable, page), DemandMaker::Page(2, page)) << page;
  }
  EXPECT_EQ(maker_.OnDisk(kTable, 63), Bytes(kPageBytes));
  EXPECT_EQ(directory->Load(file, 0, 1000), 0) << "what is behind the end is there";
  EXPECT_EQ(directory->AbsentBytes(), 40U * kPageBytes);
}

TEST_F(DemandDirectory, ASummaryNamesWhatIsNeeded) {
  Make();
  const auto summary = ReadFolder(maker_.data());
  ASSERT_TRUE(summary.ok()) << summary.status().ToString();
  EXPECT_TRUE(summary->is_incomplete);
  EXPECT_EQ(summary->absent_bytes, 140U * kPageBytes);
  EXPECT_EQ(summary->snapshot, "sn-1");
  EXPECT_EQ(summary->packs, std::set<std::string>{"packs/sn-1/1"});
}

TEST_F(DemandDirectory, PagesOfNoFrameAreZeroAndThere) {
  maker_.Relation(kTable, 2, 64, 32, 32);
  maker_.Finish();
  const auto directory = maker_.Open();
  EXPECT_EQ(directory->AbsentBytes(), 32U * kPageBytes);
  EXPECT_EQ(directory->LoadAll(0), 0);
  EXPECT_EQ(maker_.OnDisk(kTable, 40), Bytes(kPageBytes));
}

// internals 2: what was not synced is forgotten, with whatever was claimed; what was, and noted, is not.
TEST_F(DemandDirectory, OnlyWhatWasSyncedSurvives) {
  Make();
  {
    const auto directory = maker_.Open();
    const std::uint32_t file = Number(*directory);
    EXPECT_EQ(directory->Load(file, 0, 1), 0);
    EXPECT_EQ(directory->BeginWrite(file, 50, 52), 0) << "and never ends";
  }
  {
    const auto directory = maker_.Open();
    const std::uint32_t file = Number(*directory);
    EXPECT_EQ(directory->AbsentBytes(), 140U * kPageBytes);
    EXPECT_EQ(directory->presence().State(directory->index().files()[file], 50), kAbsent);
    EXPECT_EQ(directory->Load(file, 0, 1), 0);
    const Result<File> fd = File::Open(maker_.Path(kTable), O_RDWR);
    ASSERT_TRUE(fd.ok());
    EXPECT_EQ(directory->Sync(file, fd->fd()), 0);
    EXPECT_EQ(directory->Load(file, 32, 33), 0) << "after the sync: not noted";
    EXPECT_EQ(directory->SyncBits(), 0);
    EXPECT_EQ(directory->presence().head().dirty, directory->presence().head().synced);
  }
  EXPECT_EQ(maker_.Open()->AbsentBytes(), 108U * kPageBytes);
}

// A page that became present while fsync ran is not covered by it (internals 2b).
TEST_F(DemandDirectory, TheSetIsCopiedBeforeTheSync) {
  Make();
  const auto directory = maker_.Open();
  const std::uint32_t file = Number(*directory);
  const FileEntry& entry = directory->index().files()[file];
  std::uint64_t words[2];
  EXPECT_EQ(directory->Load(file, 0, 1), 0);
  EXPECT_TRUE(directory->presence().Snapshot(entry, words));
  EXPECT_EQ(directory->Load(file, 32, 33), 0);
  EXPECT_TRUE(directory->presence().Record(file, words));
  EXPECT_EQ(maker_.Open()->AbsentBytes(), 108U * kPageBytes);
}

TEST_F(DemandDirectory, AWriterOfWholePagesNeedsNothing) {
  Make();
  ASSERT_TRUE(RemoveTree(maker_.pack()).ok());
  const auto directory = maker_.Open();
  const std::uint32_t file = Number(*directory);
  EXPECT_EQ(directory->BeginWrite(file, 3, 6), 0);
  directory->EndWrite(file, 3, 6, 2);
  EXPECT_EQ(directory->Load(file, 3, 5), 0);
  EXPECT_EQ(directory->Load(file, 5, 6), EIO) << "the third was not written: it is missing again";
}

// internals 3: nothing behind the end of a file is missing, and what was cut never comes back, however long the file is later.
TEST_F(DemandDirectory, WhatWasCutStaysCut) {
  Make();
  {
    const auto directory = maker_.Open();
    const std::uint32_t file = Number(*directory);
    EXPECT_EQ(directory->BeginCut(file, 40), 0);
    ASSERT_EQ(::truncate(maker_.Path(kTable).c_str(), 40 * kPageBytes), 0);
    directory->EndCut(file, 40, true);
    EXPECT_EQ(directory->SyncBits(), 0);
    ASSERT_EQ(::truncate(maker_.Path(kTable).c_str(), 90 * kPageBytes), 0);
    EXPECT_EQ(directory->LoadAll(file), 0);
    EXPECT_EQ(maker_.OnDisk(kTable, 64), Bytes(kPageBytes));
  }
  const auto directory = maker_.Open();
  EXPECT_EQ(directory->AbsentBytes(), 80U * kPageBytes);
  EXPECT_EQ(directory->LoadAll(Number(*directory)), 0);
  EXPECT_EQ(maker_.OnDisk(kTable, 64), Bytes(kPageBytes));
  EXPECT_EQ(maker_.OnDisk(kTable, 39), DemandMaker::Page(2, 39));
}

// The cut reached the disk, the note of it did not: the end of the file says it at the next start, and it is noted then.
TEST_F(DemandDirectory, AFileThatIsShortLacksNothingBehindItsEnd) {
  Make();
  ASSERT_EQ(::truncate(maker_.Path(kTable).c_str(), 40 * kPageBytes), 0);
  EXPECT_EQ(maker_.Open()->AbsentBytes(), 80U * kPageBytes);
  ASSERT_EQ(::truncate(maker_.Path(kTable).c_str(), 100 * kPageBytes), 0);
  const auto directory = maker_.Open();
  EXPECT_EQ(directory->AbsentBytes(), 80U * kPageBytes);
  EXPECT_EQ(directory->LoadAll(Number(*directory)), 0);
  EXPECT_EQ(maker_.OnDisk(kTable, 64), Bytes(kPageBytes));
}

TEST_F(DemandDirectory, WhatIsAbsentIsKnownAtEveryEnd) {
  constexpr std::uint32_t kPages = 200, kHole = 70;
  maker_.Relation(kTable, 2, kPages, 1, kHole);
  maker_.Finish();
  for (const std::uint32_t end :
       {200U, 199U, 192U, 129U, 128U, 127U, 71U, 70U, 65U, 64U, 63U, 1U}) {
    ASSERT_EQ(::truncate(maker_.Path(kTable).c_str(), off_t{end} * kPageBytes), 0);
    const auto directory = maker_.Open();
    EXPECT_EQ(directory->AbsentBytes(), (end - (end > kHole ? 1 : 0)) * std::uint64_t{kPageBytes});
    const FileEntry& entry = directory->index().files()[0];
    for (std::uint32_t page = 0; page < kPages; page++) {
      EXPECT_EQ(directory->presence().State(entry, page),
                page < end && page != kHole ? kAbsent : kPresent)
          << page << " of " << end;
    }
  }
}

TEST_F(DemandDirectory, ACutThatFailedCutsNothing) {
  Make();
  const auto directory = maker_.Open();
  const std::uint32_t file = Number(*directory);
  EXPECT_EQ(directory->BeginCut(file, 40), 0);
  directory->EndCut(file, 40, false);
  EXPECT_EQ(directory->LoadAll(file), 0);
  EXPECT_EQ(maker_.OnDisk(kTable, 99), DemandMaker::Page(2, 99));
}

// internals 27
TEST_F(DemandDirectory, ADroppedNameMeansNothing) {
  Make();
  {
    const auto directory = maker_.Open();
    EXPECT_EQ(directory->Drop(Number(*directory)), 0);
    ASSERT_EQ(::unlink(maker_.Path(kTable).c_str()), 0);
    const Result<File> other = File::Open(maker_.Path(kTable), O_RDWR | O_CREAT | O_EXCL);
    ASSERT_EQ(::ftruncate(other->fd(), 100 * kPageBytes), 0);
  }
  const auto directory = maker_.Open();
  ASSERT_NE(directory, nullptr) << "another file of that name is no reason to refuse";
  EXPECT_EQ(directory->LoadAll(Number(*directory)), 0);
  EXPECT_EQ(maker_.OnDisk(kTable, 64), Bytes(kPageBytes));
}

TEST_F(DemandDirectory, AFileThatIsGoneIsDropped) {
  Make();
  ASSERT_EQ(::unlink(maker_.Path(kTable).c_str()), 0);
  EXPECT_EQ(maker_.Open()->AbsentBytes(), 40U * kPageBytes);
  ASSERT_TRUE(File::Open(maker_.Path(kTable), O_RDWR | O_CREAT | O_EXCL).ok());
  EXPECT_NE(maker_.Open(), nullptr);
}

// internals 4, 5: somebody copied or rewrote the directory.
TEST_F(DemandDirectory, RefusesWhatIsNotAsItWasLeft) {
  Make();
  const std::string path = maker_.Path(kTable), marker = maker_.Path("backup_label");
  ASSERT_EQ(::rename(path.c_str(), (path + ".old").c_str()), 0);
  {
    const Result<File> copy = File::Open(path, O_RDWR | O_CREAT | O_EXCL);
    ASSERT_EQ(::ftruncate(copy->fd(), 100 * kPageBytes), 0);
  }
  EXPECT_EQ(maker_.TryOpen().status().code(), Code::kCorrupt);
  ASSERT_EQ(::rename((path + ".old").c_str(), path.c_str()), 0);
  EXPECT_NE(maker_.Open(), nullptr);
  const Result<std::string> text = ReadTextFile(marker, 4096);
  ASSERT_TRUE(WriteFileLoosely(marker, AsBytes("START WAL LOCATION: 0/2000028\n")).ok());
  EXPECT_EQ(maker_.TryOpen().status().code(), Code::kCorrupt) << "a label of somebody else's";
  ASSERT_TRUE(RemoveFile(marker).ok());
  EXPECT_EQ(maker_.TryOpen().status().code(), Code::kCorrupt) << "no marker";
  ASSERT_TRUE(WriteFileLoosely(marker, AsBytes(*text)).ok());
  EXPECT_NE(maker_.Open(), nullptr);
  ASSERT_TRUE(RemoveFile(maker_.Path(kIndexFile)).ok());
  EXPECT_EQ(maker_.TryOpen().status().code(), Code::kCorrupt) << "no index";
}

TEST_F(DemandDirectory, RefusesADamagedMap) {
  Make();
  const std::string path = maker_.Path(kBitsFile);
  const Result<Bytes> good = ReadFile(path, 1 << 20);
  for (const std::size_t byte :
       {std::size_t{0}, std::size_t{9}, std::size_t{20}, std::size_t{50}}) {
    Bytes bad = *good;
    bad[byte] ^= 1;
    ASSERT_TRUE(WriteFileLoosely(path, bad).ok());
    EXPECT_EQ(maker_.TryOpen().status().code(), Code::kCorrupt) << byte;
  }
  ASSERT_TRUE(WriteFileLoosely(path, ByteView(*good).first(good->size() - 1)).ok());
  EXPECT_EQ(maker_.TryOpen().status().code(), Code::kCorrupt);
  Bytes index = *ReadFile(maker_.Path(kIndexFile), 1 << 20);
  index[index.size() / 2] ^= 1;
  ASSERT_TRUE(WriteFileLoosely(path, *good).ok());
  ASSERT_TRUE(WriteFileLoosely(maker_.Path(kIndexFile), index).ok());
  EXPECT_EQ(maker_.TryOpen().status().code(), Code::kCorrupt);
}

TEST_F(DemandDirectory, DamageOfOneFrameIsOneFrames) {
  maker_.Relation(kTable, 2, 100);
  maker_.pack_bytes()[maker_.content().frames[1].offset + 9] ^= 1;
  maker_.Finish();
  const auto directory = maker_.Open();
  EXPECT_EQ(directory->Load(0, 40, 41), EIO);
  EXPECT_TRUE(Directory::HasFailure());
  EXPECT_NE(std::string(Directory::LastFailure()->text).find("packs/sn-1/1"), std::string::npos);
  EXPECT_EQ(directory->Load(0, 0, 32), 0);
  EXPECT_EQ(directory->Load(0, 64, 100), 0);
  EXPECT_EQ(maker_.OnDisk(kTable, 40), Bytes(kPageBytes)) << "nothing of it was written";
}

TEST_F(DemandDirectory, WorksAgainWhenTheRepositoryIsBack) {
  Make();
  const auto directory = maker_.Open();
  ASSERT_EQ(::rename(maker_.repository().c_str(), (maker_.repository() + ".away").c_str()), 0);
  EXPECT_EQ(directory->Load(Number(*directory), 0, 1), EIO);
  EXPECT_NE(std::string(Directory::LastFailure()->text).find(maker_.repository()),
            std::string::npos);
  ASSERT_EQ(::rename((maker_.repository() + ".away").c_str(), maker_.repository().c_str()), 0);
  EXPECT_EQ(directory->LoadAll(Number(*directory)), 0);
}

TEST_F(DemandDirectory, TheSecondPlaceServesWhatTheFirstHasDamaged) {
  maker_.Relation(kTable, 2, 64);
  maker_.content().places.insert(maker_.content().places.begin(), maker_.data() + "/copy");
  maker_.Finish();
  Bytes bad = maker_.pack_bytes();
  bad[maker_.content().frames[0].offset + 5] ^= 4;
  ASSERT_TRUE(MakeDirectories(maker_.data() + "/copy/packs/sn-1").ok());
  ASSERT_TRUE(WriteFileLoosely(maker_.data() + "/copy/packs/sn-1/1", bad).ok());
  const auto directory = maker_.Open();
  EXPECT_EQ(directory->LoadAll(0), 0);
  EXPECT_EQ(maker_.OnDisk(kTable, 5), DemandMaker::Page(2, 5));
}

// As a server that does not fsync does at each write of its control file.
TEST_F(DemandDirectory, EverythingCanBeSyncedAtOnce) {
  Make();
  {
    const auto directory = maker_.Open();
    EXPECT_EQ(directory->Load(0, 0, 1), 0);
    EXPECT_EQ(directory->Load(1, 99, 100), 0);
    EXPECT_EQ(directory->SyncAll(), 0);
  }
  EXPECT_EQ(maker_.Open()->AbsentBytes(), (140U - 32 - 4) * kPageBytes);
}

TEST_F(DemandDirectory, TheFillerMakesAPlainDirectory) {
  Make();
  maker_.Open();
  const auto directory = maker_.Open();
  Filler filler(directory.get());
  int error = 0, steps = 0;
  std::uint64_t bytes = 0, sum = 0;
  std::uint32_t after_two = 0;
  while (filler.Step(&error, &bytes)) {
    EXPECT_EQ(error, 0);
    sum += bytes;
    if (++steps == 2) after_two = directory->presence().State(directory->index().files()[0], 39);
  }
  EXPECT_EQ(after_two, kPresent) << "the catalog comes first";
  EXPECT_EQ(sum, 140U * kPageBytes);
  EXPECT_TRUE(filler.NextRound()) << "present, not durable";
  EXPECT_EQ(filler.SyncFiles(), 0);
  EXPECT_FALSE(filler.NextRound());
  ASSERT_TRUE(RemoveFolder(maker_.data()).ok());
  EXPECT_FALSE(PathExists(maker_.Path("backup_label")));
  EXPECT_EQ(maker_.Open(), nullptr);
  for (std::uint32_t page = 0; page < 100; page++) {
    EXPECT_EQ(maker_.OnDisk(kTable, page), DemandMaker::Page(2, page));
  }
}

TEST_F(DemandDirectory, TheFillerGoesOnBehindADamagedFrame) {
  maker_.Relation(kTable, 2, 100);
  maker_.pack_bytes()[maker_.content().frames[1].offset + 9] ^= 1;
  maker_.Finish();
  const auto directory = maker_.Open();
  Filler filler(directory.get());
  int error = 0, errors = 0;
  std::uint64_t bytes = 0;
  while (filler.Step(&error, &bytes))
    errors += error != 0 ? 1 : 0;
  EXPECT_GE(errors, 1);
  EXPECT_EQ(directory->AbsentBytes(), 32U * kPageBytes);
  EXPECT_EQ(filler.SyncFiles(), 0);
  EXPECT_TRUE(filler.NextRound());
  maker_.pack_bytes()[maker_.content().frames[1].offset + 9] ^= 1;
  maker_.WritePack();
  while (filler.Step(&error, &bytes))
    EXPECT_EQ(error, 0);
  EXPECT_EQ(filler.SyncFiles(), 0);
  EXPECT_FALSE(filler.NextRound());
}

// A kill between the last page and the end of the folder: the next start finishes.
TEST_F(DemandDirectory, AFullDirectoryIsTidiedAtTheNextStart) {
  Make();
  {
    const auto directory = maker_.Open();
    EXPECT_EQ(directory->LoadAll(0), 0);
    EXPECT_EQ(directory->LoadAll(1), 0);
    EXPECT_EQ(directory->SyncAll(), 0);
    ASSERT_TRUE(RemoveFile(maker_.Path("backup_label")).ok());
  }
  EXPECT_EQ(maker_.Open(), nullptr);
  EXPECT_FALSE(PathExists(maker_.Path(kFolder)));
}

// Issue 4: two processes faulting the same frame 10,000 times; here four processes of two threads, and a writer whose pages must stay.
// Each reader is a thread, as each is a process in a server: none of them sees the file in order by itself.
TEST_F(DemandDirectory, SeveralReadersOfOneFileAreReadAheadFor) {
  maker_.Relation("base/5/16384", 1, 40, 1);
  maker_.content().places = {"fetch:" + maker_.repository()};
  maker_.Finish();
  const auto directory = maker_.Open();
  ASSERT_NE(directory, nullptr);
  const demand::FetchTable& table = directory->fetches();
  table.SetWorkers(1);
  std::atomic<bool> is_over = false;
  std::thread worker([&] {
    while (!is_over) {
      demand::FetchTable::Work work;
      if (!table.Take(&work)) {
        table.WaitForWork(10);
        continue;
      }
      const demand::FrameEntry& frame = directory->index().frames()[work.frame];
      std::memcpy(work.packed, maker_.pack_bytes().data() + frame.offset, frame.packed_size);
      table.Finish(work, nullptr);
    }
  });
  const auto read = [&](std::uint32_t page) {
    std::thread([&] { EXPECT_EQ(directory->Load(0, page, page + 1), 0); }).join();
  };
  read(30);
  EXPECT_FALSE(table.Knows(31, 0)) << "one read is no order";
  read(0);
  read(1);
  EXPECT_FALSE(table.Knows(2, 0));
  read(2);
  for (std::uint32_t frame = 3; frame <= 10; frame++) {
    EXPECT_TRUE(table.Knows(frame, 0)) << frame;
  }
  EXPECT_FALSE(table.Knows(11, 0));
  read(3);
  EXPECT_TRUE(table.Knows(11, 0)) << "it goes on like that";
  is_over = true;
  worker.join();
}

TEST_F(DemandDirectory, ManyFaultTheSameFrames) {
  constexpr std::uint32_t kPages = 2500, kFramePages = 2, kRounds = 8;
  maker_.Relation(kTable, 2, kPages, kFramePages);
  maker_.Finish();
  const auto directory = maker_.Open();
  const FileEntry& entry = directory->index().files()[0];
  const auto is_written = [](std::uint32_t page) { return page % 16 == 5; };
  for (std::uint32_t round = 0; round < kRounds; round++) {
    for (std::uint32_t page = 0; page < kPages; page++) {
      directory->presence().SetStates(entry, page, 1, kAbsent);
    }
    directory->presence().head().absent_pages = kPages;
    const auto fault = [&] {
      int failed = 0;
      for (std::uint32_t page = 0; page < kPages; page++) {
        failed += directory->Load(0, page, page + 1) != 0 ? 1 : 0;
      }
      return failed;
    };
    pid_t children[3];
    for (pid_t& child : children) {
      child = ::fork();
      if (child == 0) {
        std::atomic<int> failed = 0;
        std::thread other([&] { failed += fault(); });
        failed += fault();
        other.join();
        ::_exit(failed == 0 ? 0 : 1);
      }
    }
    std::thread writer([&] {
      const Result<File> file = File::Open(maker_.Path(kTable), O_RDWR);
      for (std::uint32_t page = 5; page < kPages; page += 16) {
        const Bytes mine = DemandMaker::Page(100 + round, page);
        EXPECT_EQ(directory->BeginWrite(0, page, page + 1), 0);
        EXPECT_EQ(::pwrite(file->fd(), mine.data(), mine.size(), off_t{page} * kPageBytes),
                  static_cast<ssize_t>(kPageBytes));
        directory->EndWrite(0, page, page + 1, 1);
      }
    });
    EXPECT_EQ(fault(), 0);
    writer.join();
    for (const pid_t child : children) {
      int status = 0;
      ASSERT_EQ(::waitpid(child, &status, 0), child);
      EXPECT_EQ(status, 0);
    }
    EXPECT_EQ(directory->AbsentBytes(), 0U);
    for (std::uint32_t page = 0; page < kPages; page++) {
      ASSERT_EQ(maker_.OnDisk(kTable, page),
                DemandMaker::Page(is_written(page) ? 100 + round : 2, page))
          << page;
    }
  }
}

}  // namespace
}  // namespace pitr::demand
