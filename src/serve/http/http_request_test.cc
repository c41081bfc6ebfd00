#include "serve/http/http_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace lorikeet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

HttpRequest Decoded(std::string target) {
  HttpRequest request{.target = std::move(target)};
  EXPECT_EQ(DecodeTarget(&request), "");
  return request;
}

std::string Fault(std::string target) {
  HttpRequest request{.target = std::move(target)};
  return DecodeTarget(&request);
}

TEST(HttpRequest, SegmentsAreDecodedAfterSplitting) {
  EXPECT_THAT(Decoded("/v1/models/a%2Fb").path, ElementsAre("v1", "models", "a/b"));
  EXPECT_THAT(Decoded("/v1/models/").path, ElementsAre("v1", "models"));
  EXPECT_THAT(Decoded("/").path, IsEmpty());
  EXPECT_THAT(Decoded("/?x").path, IsEmpty());
  EXPECT_THAT(Decoded("//a").path, ElementsAre("", "a"));
  EXPECT_THAT(Decoded("/../%2e%2E/a+b").path, ElementsAre("..", "..", "a+b"));
  EXPECT_THAT(Decoded("/%C3%A9").path, ElementsAre("\xC3\xA9"));
  EXPECT_THAT(Decoded("http://host:8000/a/b").path, ElementsAre("a", "b"));
  EXPECT_THAT(Decoded("HTTPS://host").path, IsEmpty());
}

TEST(HttpRequest, QueriesAreDecoded) {
  const HttpRequest request = Decoded("/a?after=x%26y&limit=2&limit=3&flag&&e=&a+b=c+d%2B");
  EXPECT_THAT(request.path, ElementsAre("a"));
  EXPECT_THAT(request.query,
              ElementsAre(Pair("after", "x&y"), Pair("limit", "2"), Pair("limit", "3"),
                          Pair("flag", ""), Pair("e", ""), Pair("a b", "c d+")));
  EXPECT_EQ(request.Query("limit"), "2");
  EXPECT_EQ(request.Query("flag", "x"), "");
  EXPECT_EQ(request.Query("order", "desc"), "desc");
  EXPECT_EQ(Decoded("/a?x=1?2").Query("x"), "1?2");
}

TEST(HttpRequest, WhatCannotBeDecodedIsNamed) {
  for (const char* target : {"/%", "/%4", "/a%4", "/%zz", "/%1g", "/%00", "/%ff", "/%C3/%A9",
                             "/%ED%A0%80", "/a?%", "/a?x=%0", "/a?x=%00", "/a?%80=1"}) {
    EXPECT_THAT(Fault(target), HasSubstr("%-escapes")) << target;
  }
  for (const char* target : {"", "*", "a", "host:80", "/a#b", "/a?b#c"}) {
    EXPECT_THAT(Fault(target), HasSubstr("a path that begins with /")) << target;
  }
  EXPECT_THAT(Fault("http://host?x=1"), HasSubstr("no path"));
}

TEST(HttpRequest, HeadersAreFoundWhateverTheirCase) {
  const HttpRequest request{.headers = {{"X-Api-Key", "first"}, {"x-api-key", "second"}}};
  EXPECT_EQ(request.Header("x-API-key"), "first");
  EXPECT_EQ(request.Header("x-api-ke"), "");
}

}  // namespace
}  // namespace lorikeet
