// Text in OpenMetrics 1.0 (prometheus.io/docs/specs/om/open_metrics_spec), which Prometheus, node_exporter's textfile collector and others read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pitr {

class OpenMetrics {
 public:
  enum class Type { kGauge, kCounter };
  using Labels = std::vector<std::pair<std::string_view, std::string_view>>;

  // The samples that follow are of this family. It is left out when there are none. REQUIRES: a name not used before, made of [a-z0-9_] and ending
  // in "_" and the unit when there is one; `_total` of counters is added here.
  void Family(std::string_view name, Type type, std::string_view unit, std::string_view help);
  void Sample(std::int64_t value, const Labels& labels = {});
  // Microseconds as seconds.
  void Seconds(std::int64_t micros, const Labels& labels = {});

  // With the end mark. Whoever writes it out adds the end of that line: an empty line behind it is not allowed.
  std::string Finish();

 private:
  void Put(std::string_view value, const Labels& labels);

  std::string text_, head_, name_;
};

}  // namespace pitr
