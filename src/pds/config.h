#pragma once
// What the PDS needs to know about itself. apps/ reads the environment and fills this in; nothing here reads
// it.

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/secret.h"
#include "crypto/key.h"
#include "pds/sign_up_policy.h"

namespace latchkey::pds {

struct Config {
  std::string public_url;   // https://pds.example, no trailing slash; the service endpoint of accounts
  std::string service_did;  // did:web:pds.example; audience of session tokens
  std::vector<std::string> handle_domains;               // each with its leading dot: ".pds.example"
  std::string version;                                   // what /xrpc/_health answers
  SignUpPolicy sign_up;                                  // for everybody, whatever way they come
  bool invite_required = false;                          // createAccount asks for an invite code
  std::optional<Secret<std::string>> magic_invite_code;  // good for any number of accounts
  std::optional<Secret<std::string>> admin_password;     // absent: nobody is admin
  std::size_t blob_upload_limit = 5 << 20;
  std::string blob_directory;  // of DiskBlobStore
  std::optional<std::string> privacy_policy_url, terms_of_service_url, contact_email;
  std::size_t min_password_length = 8;

  Secret<std::string> jwt_secret;                 // HS256 key of session tokens, as text (PDS_JWT_SECRET)
  crypto::PrivateKey rotation_key;                // signs PLC operations
  std::optional<crypto::PublicKey> recovery_key;  // put before the server's rotation key in new accounts
  std::size_t tree_cache_bytes = 64 << 20;        // memory for decoded repositories
  std::size_t export_memory_bytes = 4 << 20;      // a longer getRepo goes through a temporary file
};

}  // namespace latchkey::pds
