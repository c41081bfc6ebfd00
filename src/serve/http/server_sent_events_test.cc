#include "serve/http/server_sent_events.h"

#include <gtest/gtest.h>

namespace lorikeet {
namespace {

TEST(ServerSentEvents, LinesBecomeLinesOfOneEvent) {
  EXPECT_EQ(EventText("{\"a\":1}"), "data: {\"a\":1}\n\n");
  EXPECT_EQ(EventText("a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n");
  EXPECT_EQ(EventText(""), "data: \n\n");
  EXPECT_EQ(EventComment("keep-alive"), ": keep-alive\n\n");
  EXPECT_EQ(EventComment("a\n\ndata: b"), ": a  data: b\n\n");  // cannot become an event
}

}  // namespace
}  // namespace lorikeet
