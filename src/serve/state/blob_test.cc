#include "serve/state/blob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "core/checksum.h"
#include "core/error.h"
#include "core/file.h"
#include "core/temporary_folder_for_test.h"
#include "serve/state/ids.h"

namespace lorikeet {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

ErrorCode CodeOfOpening(const std::string& folder, std::string_view id) {
  try {
    const Blob blob(folder, id);
  } catch (const Error& error) {
    return error.code();
  }
  ADD_FAILURE() << "opened " << id;
  return ErrorCode::kDiverged;
}

size_t FilesIn(const std::string& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

class BlobTest : public ::testing::Test {
 protected:
  TemporaryFolder folder_{"blob"};
};

TEST_F(BlobTest, AppearsWholeWithItsChecksum) {
  BlobWriter writer(folder_.path());
  writer.Write("one ");
  writer.Write("");
  writer.Write("two");
  const std::string path = BlobPath(folder_.path(), writer.id());
  EXPECT_FALSE(fs::exists(path));
  writer.Finish();
  EXPECT_EQ(ReadFile(path), "one two");
  EXPECT_EQ(writer.bytes(), 7);
  EXPECT_EQ(writer.crc32c(), Crc32c("one two"));
  EXPECT_EQ(FilesIn(folder_.path()), 1u);
  struct stat info {};
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(BlobTest, WhatIsNotFinishedIsRemoved) {
  {
    BlobWriter writer(folder_.path());
    writer.Write("half");
    BlobWriter moved = std::move(writer);
    moved.Write(" of it");
    EXPECT_EQ(FilesIn(folder_.path()), 1u);
  }
  EXPECT_EQ(FilesIn(folder_.path()), 0u);
}

TEST_F(BlobTest, IsReadAtAnyPlace) {
  BlobWriter writer(folder_.path());
  writer.Write("0123456789");
  writer.Finish();
  const Blob blob(folder_.path(), writer.id());
  EXPECT_EQ(blob.bytes(), 10);
  std::string part(4, ' ');
  EXPECT_EQ(blob.ReadAt(3, part.data(), 4), 4u);
  EXPECT_EQ(part, "3456");
  EXPECT_EQ(blob.ReadAt(8, part.data(), 4), 2u);
  EXPECT_EQ(part, "8956");
  EXPECT_EQ(blob.ReadAt(10, part.data(), 4), 0u);
}

TEST_F(BlobTest, OnlyIdsBecomePaths) {
  std::ofstream(folder_ / "secret") << "x";
  fs::create_directory(folder_ / "files");
  for (const std::string& id :
       {std::string("../secret"), std::string("/etc/passwd"), std::string("../../etc/passwd"),
        std::string(), std::string("."), std::string("file-"), std::string("secret\0", 7),
        std::string(100'000, 'a'), NewId(IdKind::kJob)}) {
    EXPECT_EQ(CodeOfOpening(folder_ / "files", id), ErrorCode::kNotFound) << id.substr(0, 50);
    EXPECT_THROW(BlobPath(folder_ / "files", id), Error);
  }
}

TEST_F(BlobTest, LinksFoldersAndPipesAreNotOpened) {
  std::ofstream(folder_ / "secret") << "x";
  const std::string link = NewId(IdKind::kFile), dir = NewId(IdKind::kFile),
                    pipe = NewId(IdKind::kFile), missing = NewId(IdKind::kFile);
  fs::create_symlink(folder_ / "secret", folder_ / link);
  fs::create_directory(folder_ / dir);
  ASSERT_EQ(mkfifo((folder_ / pipe).c_str(), 0600), 0);
  for (const std::string& id : {link, dir, pipe, missing}) {
    EXPECT_EQ(CodeOfOpening(folder_.path(), id), ErrorCode::kNotFound);
  }
}

TEST_F(BlobTest, AMissingFolderIsNamed) {
  try {
    const BlobWriter writer(folder_ / "none");
    ADD_FAILURE() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kIo);
    EXPECT_THAT(error.what(), HasSubstr("none/file-"));
  }
}

}  // namespace
}  // namespace lorikeet
