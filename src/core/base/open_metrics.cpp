#include "core/base/open_metrics.h"

#include <cinttypes>
#include <cstdio>

namespace pitr {

namespace {

// Of help texts and label values. Quotes are special in the latter only, and may be escaped in both.
void AppendEscaped(std::string_view text, std::string* out) {
  for (const char c : text) {
    switch (c) {
      case '\\':
        *out += "\\\\";
        break;
      case '"':
        *out += "\\\"";
        break;
      case '\n':
        *out += "\\n";
        break;
      default:
        *out += c;
    }
  }
}

}  // namespace

void OpenMetrics::Family(std::string_view name, Type type, std::string_view unit,
                         std::string_view help) {
  name_ = name;
  head_ = "# TYPE " + name_ + (type == Type::kCounter ? " counter\n" : " gauge\n");
  if (!unit.empty()) head_ += "# UNIT " + name_ + " " + std::string(unit) + "\n";
  head_ += "# HELP " + name_ + " ";
  AppendEscaped(help, &head_);
  head_ += '\n';
  if (type == Type::kCounter) name_ += "_total";
}

void OpenMetrics::Put(std::string_view value, const Labels& labels) {
  text_ += head_;
  head_.clear();
  text_ += name_;
  for (std::size_t i = 0; i < labels.size(); i++) {
    text_ += i == 0 ? '{' : ',';
    text_ += labels[i].first;
    text_ += "=\"";
    AppendEscaped(labels[i].second, &text_);
    text_ += '"';
  }
  if (!labels.empty()) text_ += '}';
  text_ += ' ';
  text_ += value;
  text_ += '\n';
}

void OpenMetrics::Sample(std::int64_t value, const Labels& labels) {
  Put(std::to_string(value), labels);
}

void OpenMetrics::Seconds(std::int64_t micros, const Labels& labels) {
  char text[40];
  const std::int64_t size = micros < 0 ? -micros : micros;
  std::snprintf(text, sizeof text, "%s%" PRId64 ".%06" PRId64, micros < 0 ? "-" : "",
                size / 1000000, size % 1000000);
  Put(text, labels);
}

std::string OpenMetrics::Finish() { return text_ + "# EOF"; }

}  // namespace pitr
