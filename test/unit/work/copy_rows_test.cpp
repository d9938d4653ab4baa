// Rows counted in the text of a dump, however it is cut.
#include "core/work/copy_rows.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

constexpr std::string_view kText =
    "--\n"
    "-- Data for Name: orders; Type: TABLE DATA\n"
    "COPY public.orders (id, \"a b\") FROM stdin;\n"
    "1\tx\n"
    "2\tCOPY public.orders (id) FROM stdin;\n"
    "3\t\\\\.\n"
    "\\.\n"
    "\n"
    "COPY \"Odd \"\"s\".\"t.1 (x)\" (id) FROM stdin;\n"
    "\\.\n"
    "COPY public.nothing  FROM stdin;\n"
    "\n"
    "\n"
    "\\.\n"
    "SELECT pg_catalog.lo_open('16414', 131072);\n"
    "SELECT pg_catalog.lowrite(0, '\\x6162');\n"
    "SELECT pg_catalog.lo_close(0);\n"
    "COPY is no statement without its end\n"
    "COPY x FROM stdin;\n"
    "SELECT pg_catalog.setval('public.orders_id_seq', 3, true);\n";

std::string Found(const CopyRows& rows) {
  std::string text;
  for (const CopiedTable& table : rows.tables()) {
    text += table.schema + "|" + table.name + "|" + std::to_string(table.rows) + "\n";
  }
  return text + std::to_string(rows.large_objects());
}

TEST(CopyRows, AreCountedWhereverTheTextIsCut) {
  const std::string expected = "public|orders|3\nOdd \"s|t.1 (x)|0\npublic|nothing|2\n1";
  for (std::size_t piece = 1; piece <= kText.size(); piece++) {
    CopyRows rows;
    for (std::size_t at = 0; at < kText.size(); at += piece) {
      rows.Add(AsBytes(kText.substr(at, piece)));
    }
    ASSERT_EQ(Found(rows), expected) << piece;
    ASSERT_TRUE(rows.is_complete());
  }
}

TEST(CopyRows, AnEndInTheMiddleIsSeen) {
  CopyRows rows;
  rows.Add(AsBytes("COPY public.orders (id) FROM stdin;\n1\n2"));
  EXPECT_FALSE(rows.is_complete());
  EXPECT_EQ(rows.tables().at(0).rows, 1U);
}

TEST(CopyRows, LongRowsTakeNoMemory) {
  CopyRows rows;
  rows.Add(AsBytes("COPY public.big (a) FROM stdin;\n"));
  const std::string piece(1U << 20, 'x');
  for (int i = 0; i < 64; i++)
    rows.Add(AsBytes(piece));
  rows.Add(AsBytes("\n\\.\n"));
  EXPECT_EQ(rows.tables().at(0).rows, 1U);
  EXPECT_TRUE(rows.is_complete());
}

}  // namespace
}  // namespace pitr
