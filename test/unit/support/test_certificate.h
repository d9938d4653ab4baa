// An authority and a server's certificate that it signed, made on the spot.
#pragma once

#include <string>

namespace pitr {

struct TestCertificate {
  std::string ca;           // PEM, as do the others
  std::string certificate;  // of the server
  std::string key;          // of the server
};

// `names` as OpenSSL writes them. A test failure and empty texts when libcrypto refuses.
TestCertificate MakeTestCertificate(const char* names = "IP:127.0.0.1,DNS:localhost");

}  // namespace pitr
