#include "serve/http/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"

namespace lorikeet {
namespace {

using ::testing::HasSubstr;
using ::testing::Property;
using ::testing::Throws;

constexpr const char* kType = "multipart/form-data; boundary=xyz";

std::string PartText(const std::string& headers, const std::string& content) {
  return "--xyz\r\n" + headers + "\r\n\r\n" + content + "\r\n";
}
std::string Named(const std::string& name) {
  return "Content-Disposition: form-data; name=\"" + name + '"';
}

void ExpectFault(const std::string& type, const std::string& body, const std::string& message) {
  EXPECT_THAT([&] { ParseMultipart(type, body); },
              Throws<Error>(Property(&Error::what, HasSubstr(message))))
      << body;
}

TEST(Multipart, FieldsAndFiles) {
  const std::string content = std::string("{\"a\": 1}\r\n--xy\r\n\0\r\n\r\n", 21);
  const std::string body =
      PartText(Named("purpose"), "fine-tune") +
      PartText(
          "content-type: application/jsonl\r\nCONTENT-DISPOSITION: Form-Data; name=file; "
          "filename=\"a \\\"b\\\" %22.jsonl\"",
          content) +
      PartText(Named("empty"), "") + "--xyz--\r\n";
  const std::vector<FormPart> parts = ParseMultipart(kType, body);
  ASSERT_EQ(parts.size(), 3);
  EXPECT_EQ(parts[0].name, "purpose");
  EXPECT_EQ(parts[0].content, "fine-tune");
  EXPECT_FALSE(parts[0].filename.has_value());
  EXPECT_EQ(parts[1].filename, "a \"b\" \".jsonl");
  EXPECT_EQ(parts[1].content_type, "application/jsonl");
  EXPECT_EQ(parts[1].content, content);
  EXPECT_GE(parts[1].content.data(), body.data());  // not a copy
  EXPECT_LE(parts[1].content.data(), body.data() + body.size());
  EXPECT_EQ(FindPart(parts, "empty"), &parts[2]);
  EXPECT_EQ(parts[2].content, "");
  EXPECT_EQ(FindPart(parts, "other"), nullptr);
  EXPECT_TRUE(
      ParseMultipart("multipart/form-data; charset=x; boundary=\"a b'c\"", "--a b'c--").empty());
}

TEST(Multipart, BadBoundaries) {
  const std::string body = PartText(Named("a"), "1") + "--xyz--";
  for (const char* type : {"", "application/json", "multipart/mixed; boundary=xyz"}) {
    ExpectFault(type, body, "Content-Type must be multipart/form-data");
  }
  for (const std::string& type :
       {std::string("multipart/form-data"), std::string("multipart/form-data; boundary="),
        std::string("multipart/form-data; boundary=\"x\ny\""),
        "multipart/form-data; boundary=" + std::string(71, 'x')}) {
    ExpectFault(type, body, "no valid boundary");
  }
  ExpectFault("multipart/form-data; boundary=xyz; boundary=xyz", body, "same parameter twice");
  ExpectFault("multipart/form-data; boundary=\"xyz", body, "has no end");
  ExpectFault("multipart/form-data; boundary=\"xyz\"a", body, "text after a quoted value");
  ExpectFault("multipart/form-data; boundary", body, "parameter without =");
}

TEST(Multipart, BadBodies) {
  ExpectFault(kType, "", "does not begin with the boundary");
  ExpectFault(kType, "text\r\n--xyz--", "does not begin with the boundary");
  ExpectFault(kType, "--xyz", "after a boundary");
  ExpectFault(kType, "--xyzz\r\n", "after a boundary");
  ExpectFault(kType, PartText(Named("a"), "1") + "--xyz", "after a boundary");
  ExpectFault(kType, PartText(Named("a"), "1") + "--xyz--\r\nmore", "after a boundary");
  ExpectFault(kType, PartText(Named("a"), "1"), "not complete");
  ExpectFault(kType, PartText(Named("a"), "1\r\n--xyz!") + "--xyz--", "after a boundary");
  ExpectFault(kType, "--xyz\r\n" + Named("a") + "\r\n", "have no end");
  ExpectFault(kType, PartText("X: " + std::string(20000, 'a'), "1") + "--xyz--", "16 KiB");
  std::string many;
  for (int i = 0; i < 1001; ++i) many += PartText(Named("a"), "1");
  ExpectFault(kType, many + "--xyz--", "more than 1000 parts");
}

TEST(Multipart, BadPartHeaders) {
  const auto fault = [](const std::string& headers, const std::string& message) {
    ExpectFault(kType, PartText(headers, "1") + "--xyz--", message);
  };
  fault("X: y", "no Content-Disposition");
  fault(Named("a") + "\r\n" + Named("a"), "two Content-Disposition");
  fault("Content-Disposition: attachment; name=a", "is not: form-data");
  fault("Content-Disposition: form-data", "is not: form-data");
  fault(Named("a") + "; name=b", "same parameter twice");
  fault(Named("\xff"), "not UTF-8");
  fault(Named("a") + "\r\nno colon", "among its headers");
  fault(Named("a") + "\r\n folded: x", "among its headers");
  fault(Named("a") + "\r\nContent-Transfer-Encoding: base64", "send it as it is");
}

}  // namespace
}  // namespace lorikeet
