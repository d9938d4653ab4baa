#include "core/base/open_metrics.h"

#include <gtest/gtest.h>

namespace pitr {
namespace {

TEST(OpenMetricsTest, FamiliesSamplesAndTheEnd) {
  OpenMetrics metrics;
  metrics.Family("pitr_backlog_segments", OpenMetrics::Type::kGauge, "segments",
                 "WAL segments that wait.");
  metrics.Sample(3);
  metrics.Family("pitr_archived_segments", OpenMetrics::Type::kCounter, "segments",
                 "WAL segments archived.");
  metrics.Sample(12, {{"repository", "/r"}, {"mode", "required"}});
  metrics.Sample(11, {{"repository", "/s"}, {"mode", "required"}});
  EXPECT_EQ(metrics.Finish(),
            "# TYPE pitr_backlog_segments gauge\n"
            "# UNIT pitr_backlog_segments segments\n"
            "# HELP pitr_backlog_segments WAL segments that wait.\n"
            "pitr_backlog_segments 3\n"
            "# TYPE pitr_archived_segments counter\n"
            "# UNIT pitr_archived_segments segments\n"
            "# HELP pitr_archived_segments WAL segments archived.\n"
            "pitr_archived_segments_total{repository=\"/r\",mode=\"required\"} 12\n"
            "pitr_archived_segments_total{repository=\"/s\",mode=\"required\"} 11\n"
            "# EOF");
}

TEST(OpenMetricsTest, AFamilyWithoutSamplesIsLeftOut) {
  OpenMetrics metrics;
  metrics.Family("pitr_a", OpenMetrics::Type::kGauge, "", "Nothing.");
  metrics.Family("pitr_b", OpenMetrics::Type::kGauge, "", "Something.");
  metrics.Sample(-1);
  EXPECT_EQ(metrics.Finish(), "# TYPE pitr_b gauge\n# HELP pitr_b Something.\npitr_b -1\n# EOF");
  EXPECT_EQ(OpenMetrics().Finish(), "# EOF");
}

TEST(OpenMetricsTest, SecondsKeepTheirMicroseconds) {
  OpenMetrics metrics;
  metrics.Family("pitr_age_seconds", OpenMetrics::Type::kGauge, "seconds", "");
  metrics.Seconds(0);
  metrics.Seconds(1);
  metrics.Seconds(-1500000);
  metrics.Seconds(1796040000123456);
  const std::string text = metrics.Finish();
  for (const char* const line :
       {"pitr_age_seconds 0.000000\n", "pitr_age_seconds 0.000001\n",
        "pitr_age_seconds -1.500000\n", "pitr_age_seconds 1796040000.123456\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << text;
  }
}

TEST(OpenMetricsTest, LabelsAndHelpAreEscaped) {
  OpenMetrics metrics;
  metrics.Family("pitr_a", OpenMetrics::Type::kGauge, "", "two\nlines");
  metrics.Sample(1, {{"path", "a\\b\"c\nd"}});
  const std::string text = metrics.Finish();
  EXPECT_NE(text.find("pitr_a{path=\"a\\\\b\\\"c\\nd\"} 1\n"), std::string::npos) << text;
  EXPECT_NE(text.find("# HELP pitr_a two\\nlines\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace pitr
