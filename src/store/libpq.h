#pragma once
// libpq, loaded when the first PostgreSQL database is opened: who uses SQLite installs none of it.

#include <libpq-fe.h>

namespace latchkey::store {

#define LK_LIBPQ(X)                                                                                        \
  X(PQconnectdbParams)                                                                                     \
  X(PQfinish)                                                                                              \
  X(PQstatus) X(PQtransactionStatus) X(PQerrorMessage) X(PQsetNoticeProcessor) X(PQexec)                   \
      X(PQenterPipelineMode) X(PQexitPipelineMode) X(PQpipelineSync) X(PQsendQueryParams) X(PQsendPrepare) \
          X(PQsendQueryPrepared) X(PQsetSingleRowMode) X(PQgetResult) X(PQresultStatus)                    \
              X(PQresultErrorField) X(PQresultErrorMessage) X(PQcmdStatus) X(PQcmdTuples) X(PQntuples)     \
                  X(PQnfields) X(PQftype) X(PQgetisnull) X(PQgetvalue) X(PQgetlength) X(PQclear)

struct Libpq {
#define LK_MEMBER(name) decltype(&::name) name;
  LK_LIBPQ(LK_MEMBER)
#undef LK_MEMBER
};

/// Throws Error::unavailable when the library is not installed.
const Libpq& libpq();

}  // namespace latchkey::store
