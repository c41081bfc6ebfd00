#include "serve/state/paging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <set>
#include <thread>

#include "core/temporary_folder_for_test.h"
#include "serve/state/state_store_for_test.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;

class PagingTest : public ::testing::Test {
 protected:
  // Adds `count` events to a new job; returns their ids in order.
  std::vector<std::string> AddEvents(int count) {
    std::vector<JobEvent> events;
    for (int i = 0; i < count; ++i) events.push_back({.job = job_, .message = std::to_string(i)});
    store_.AddEvents(events);
    std::vector<std::string> ids;
    for (const JobEvent& event :
         store_.ListEvents(job_, {.limit = 10'000, .ascending = true}).data) {
      ids.push_back(event.id);
    }
    return ids;
  }
  // Ids on all pages; `between` is called after each.
  template <class Between>
  std::vector<std::string> Walk(int64_t limit, bool ascending, const Between& between) {
    std::vector<std::string> ids;
    PageRequest request{.limit = limit, .ascending = ascending};
    while (true) {
      const Page<JobEvent> page = store_.ListEvents(job_, request);
      EXPECT_LE(page.data.size(), static_cast<size_t>(limit));
      for (const JobEvent& event : page.data) ids.push_back(event.id);
      const bool endless = ids.size() > 100'000;
      EXPECT_FALSE(endless);
      if (!page.has_more || endless || page.data.empty()) return ids;
      request.after = ids.back();
      between(ids.size());
    }
  }

  TemporaryFolder folder_{"paging"};
  StateStore store_{folder_ / "state"};
  std::string job_ = store_.AddJob(QueuedJob()).id;
};

TEST_F(PagingTest, PagesOfEverySizeMakeTheWholeList) {
  std::vector<std::string> ids = AddEvents(12);
  for (const int64_t limit : {1, 2, 3, 4, 5, 6, 11, 12, 13, 100}) {
    EXPECT_EQ(Walk(limit, true, [](size_t) {}), ids) << limit;
  }
  std::reverse(ids.begin(), ids.end());
  for (const int64_t limit : {1, 4, 5, 12, 13}) {
    EXPECT_EQ(Walk(limit, false, [](size_t) {}), ids) << limit;
  }
  EXPECT_FALSE(store_.ListEvents(job_, {.limit = 12}).has_more);
  EXPECT_TRUE(store_.ListEvents(job_, {.limit = 11}).has_more);
  EXPECT_TRUE(store_.ListEvents(job_, {.after = ids.back()}).data.empty());
}

TEST_F(PagingTest, ALimitOutOfRangeIsRefused) {
  for (const int64_t limit : {int64_t{0}, int64_t{-1}, int64_t{10'001}, INT64_MAX}) {
    const auto [code, message] = ErrorFrom([&] { store_.ListFiles({.limit = limit}); });
    EXPECT_EQ(code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(message, HasSubstr("limit: must be 1 to 10000"));
  }
}

// All rows have the same second: their order is that in which they were added.
TEST_F(PagingTest, WalksDuringInsertsNeitherSkipNorRepeat) {
  constexpr int kBefore = 3000;
  std::vector<std::string> ids = AddEvents(kBefore);
  std::atomic<bool> stop = false;
  std::thread inserts([&] {
    while (!stop) store_.AddEvents({{.job = job_, .message = "new"}, {.job = job_}});
  });
  const std::vector<std::string> up = Walk(97, true, [](size_t) {});
  const std::vector<std::string> down = Walk(97, false, [](size_t) {});
  stop = true;
  inserts.join();
  EXPECT_EQ(std::set(up.begin(), up.end()).size(), up.size());
  EXPECT_EQ(std::set(down.begin(), down.end()).size(), down.size());
  ASSERT_GE(up.size(), ids.size());
  EXPECT_TRUE(std::equal(ids.begin(), ids.end(), up.begin()));
  ASSERT_GE(down.size(), ids.size());
  EXPECT_TRUE(std::equal(ids.rbegin(), ids.rend(), down.end() - kBefore));
}

// An insert between any two pages: new rows are seen at the end of a walk upwards only.
TEST_F(PagingTest, NewRowsComeAfterAllOthers) {
  AddEvents(10);
  const std::vector<std::string> up = Walk(3, true, [&](size_t seen) {
    if (seen <= 12) store_.AddEvent({.job = job_});
  });
  EXPECT_EQ(up.size(), 14u);  // an insert after each of the pages that end at 3, 6, 9 and 12
  const std::vector<std::string> down =
      Walk(3, false, [&](size_t) { store_.AddEvent({.job = job_}); });
  EXPECT_EQ(down.size(), 14u);
}

TEST_F(PagingTest, ListsAreFiltered) {
  AddContent(store_, "a");
  BlobWriter blob = store_.NewBlob();
  const std::string batch =
      store_.AddFile(std::move(blob), {.filename = "b", .purpose = "batch", .owner = "k"}).id;
  EXPECT_EQ(store_.ListFiles({}).data.size(), 2u);
  EXPECT_EQ(store_.ListFiles({}, "batch").data.at(0).id, batch);
  EXPECT_EQ(store_.ListFiles({}, "batch").data.size(), 1u);
  EXPECT_EQ(store_.ListFiles({}, {}, "k").data.size(), 1u);
  EXPECT_TRUE(store_.ListFiles({}, "fine-tune", "k").data.empty());

  StoredJob job = QueuedJob();
  job.metadata = {{"team", "birds"}, {"a\"b", ""}};
  job.owner = "k";
  const std::string with = store_.AddJob(job).id;
  const auto count = [&](const JobFilter& filter) {
    return store_.ListJobs({}, filter).data.size();
  };
  EXPECT_EQ(count({}), 2u);
  EXPECT_EQ(count({.owner = "k"}), 1u);
  EXPECT_EQ(count({.metadata = {{"team", "birds"}, {"a\"b", ""}}}), 1u);
  EXPECT_EQ(count({.metadata = {{"team", "fish"}}}), 0u);
  EXPECT_EQ(count({.metadata = {{"team", "birds"}, {"none", ""}}}), 0u);
  EXPECT_EQ(count({.without_metadata = true}), 1u);
  // A cursor is within the filtered list too.
  EXPECT_EQ(ErrorFrom([&] { store_.ListJobs({.after = job_}, {.owner = "k"}); }).first,
            ErrorCode::kNotFound);
}

}  // namespace
}  // namespace lorikeet
