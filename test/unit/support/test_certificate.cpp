#include "unit/support/test_certificate.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

namespace pitr {

namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using Bio = std::unique_ptr<BIO, decltype(&BIO_free_all)>;

std::string Contents(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string();
}

std::string Pem(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()), &BIO_free_all);
  PEM_write_bio_X509(bio.get(), certificate);
  return Contents(bio);
}

std::string Pem(EVP_PKEY* key) {
  const Bio bio(BIO_new(BIO_s_mem()), &BIO_free_all);
  PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return Contents(bio);
}

bool AddExtension(X509* certificate, int kind, const char* value) {
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, nullptr, kind, value);
  const bool is_added = extension != nullptr && X509_add_ext(certificate, extension, -1) == 1;
  X509_EXTENSION_free(extension);
  return is_added;
}

// Not signed yet. Valid from an hour ago for a day.
Certificate Unsigned(const char* name, long serial, EVP_PKEY* key) {
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), 2);  // counted from 0: version 3
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate.get()), -3600);
  X509_gmtime_adj(X509_getm_notAfter(certificate.get()), 86400);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  return certificate;
}

}  // namespace

TestCertificate MakeTestCertificate(const char* names) {
  const Key ca_key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Key key(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Certificate ca = Unsigned("pitr test authority", 1, ca_key.get());
  const Certificate server = Unsigned("pitr test server", 2, key.get());
  const bool is_made = X509_set_issuer_name(ca.get(), X509_get_subject_name(ca.get())) == 1 &&
                       AddExtension(ca.get(), NID_basic_constraints, "critical,CA:TRUE") &&
                       AddExtension(ca.get(), NID_key_usage, "critical,keyCertSign") &&
                       X509_sign(ca.get(), ca_key.get(), EVP_sha256()) > 0 &&
                       X509_set_issuer_name(server.get(), X509_get_subject_name(ca.get())) == 1 &&
                       AddExtension(server.get(), NID_subject_alt_name, names) &&
                       X509_sign(server.get(), ca_key.get(), EVP_sha256()) > 0;
  EXPECT_TRUE(is_made);
  return is_made ? TestCertificate{Pem(ca.get()), Pem(server.get()), Pem(key.get())}
                 : TestCertificate();
}

}  // namespace pitr
