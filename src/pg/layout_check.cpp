// Asserts that core/wal/layout.h says what the headers of the server say that this module is built for. It is the
// one file that sees both sides; it makes no code. A new major that moved something does not compile here.
#include "core/wal/layout.h"

#include "pg/version.h"

extern "C" {
#include "access/heapam_xlog.h"
#include "access/htup_details.h"
#include "access/rmgr.h"
#include "access/xact.h"
#include "access/xlog_internal.h"
#include "access/xlogrecord.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_control.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "catalog/storage_xlog.h"
#include "commands/dbcommands_xlog.h"
#include "storage/bufpage.h"
#include "storage/itemid.h"
#include "storage/sinval.h"
#include "storage/standbydefs.h"
#include "utils/memutils.h"
#include "utils/relmapper.h"
}

namespace pitr::pg {

namespace w = pitr::wal;

// Pages.
static_assert(MAXIMUM_ALIGNOF == 8);
static_assert(w::kPageSize == XLOG_BLCKSZ);
static_assert(w::PageMagic(kServerMajor) == XLOG_PAGE_MAGIC);
static_assert(w::MajorOfPageMagic(XLOG_PAGE_MAGIC) == kServerMajor);
static_assert(w::page::kMagic == offsetof(XLogPageHeaderData, xlp_magic));
static_assert(w::page::kInfo == offsetof(XLogPageHeaderData, xlp_info));
static_assert(w::page::kTimeline == offsetof(XLogPageHeaderData, xlp_tli));
static_assert(w::page::kAddress == offsetof(XLogPageHeaderData, xlp_pageaddr));
static_assert(w::page::kRemaining == offsetof(XLogPageHeaderData, xlp_rem_len));
static_assert(w::page::kShortHeader == SizeOfXLogShortPHD);
static_assert(w::page::kSystemIdentifier == offsetof(XLogLongPageHeaderData, xlp_sysid));
static_assert(w::page::kSegmentSize == offsetof(XLogLongPageHeaderData, xlp_seg_size));
static_assert(w::page::kBlockSize == offsetof(XLogLongPageHeaderData, xlp_xlog_blcksz));
static_assert(w::page::kLongHeader == SizeOfXLogLongPHD);
static_assert(w::page::kFirstIsContinuation == XLP_FIRST_IS_CONTRECORD);
static_assert(w::page::kHasLongHeader == XLP_LONG_HEADER);
static_assert(w::page::kFirstIsOverwrite == XLP_FIRST_IS_OVERWRITE_CONTRECORD);
static_assert(w::page::kAllFlags == XLP_ALL_FLAGS);

// Records.
static_assert(w::record::kTotalLength == offsetof(XLogRecord, xl_tot_len));
static_assert(w::record::kXid == offsetof(XLogRecord, xl_xid));
static_assert(w::record::kPrevious == offsetof(XLogRecord, xl_prev));
static_assert(w::record::kInfo == offsetof(XLogRecord, xl_info));
static_assert(w::record::kResourceManager == offsetof(XLogRecord, xl_rmid));
static_assert(w::record::kCrc == offsetof(XLogRecord, xl_crc));
static_assert(w::record::kHeader == SizeOfXLogRecord);
#ifdef XLogRecordMaxSize
static_assert(w::record::kMaxLength >= XLogRecordMaxSize);
#endif
#ifdef MaxAllocSize
static_assert(w::record::kMaxLength == MaxAllocSize);
#endif
static_assert(w::record::kInfoMask == XLR_RMGR_INFO_MASK);
static_assert(w::record::kSpecialRelationUpdate == XLR_SPECIAL_REL_UPDATE);
static_assert(w::record::kMaxBlockId == XLR_MAX_BLOCK_ID);
static_assert(w::record::kIdDataShort == XLR_BLOCK_ID_DATA_SHORT);
static_assert(w::record::kIdDataLong == XLR_BLOCK_ID_DATA_LONG);
static_assert(w::record::kIdOrigin == XLR_BLOCK_ID_ORIGIN);
static_assert(w::record::kIdTopLevelXid == XLR_BLOCK_ID_TOPLEVEL_XID);

// Block references.
static_assert(w::block::kForkMask == BKPBLOCK_FORK_MASK);
static_assert(w::block::kHasImage == BKPBLOCK_HAS_IMAGE);
static_assert(w::block::kHasData == BKPBLOCK_HAS_DATA);
static_assert(w::block::kSameRelation == BKPBLOCK_SAME_REL);
static_assert(w::block::kHeader == SizeOfXLogRecordBlockHeader);
static_assert(w::block::kImageHeader == SizeOfXLogRecordBlockImageHeader);
static_assert(w::block::kCompressHeader == SizeOfXLogRecordBlockCompressHeader);
static_assert(w::block::kHeader + w::block::kImageHeader + w::block::kCompressHeader +
                  w::block::kRelation + w::block::kNumber ==
              MaxSizeOfXLogRecordBlockHeader);
static_assert(w::block::kNumber == sizeof(BlockNumber));
static_assert(w::block::kImageHasHole == BKPIMAGE_HAS_HOLE);
static_assert(w::block::kImagePglz == BKPIMAGE_COMPRESS_PGLZ &&
              w::block::kImageLz4 == BKPIMAGE_COMPRESS_LZ4 &&
              w::block::kImageZstd == BKPIMAGE_COMPRESS_ZSTD);
static_assert(w::block::kBlockSize == BLCKSZ);

// Resource managers.
static_assert(w::rmgr::kXlog == RM_XLOG_ID);
static_assert(w::rmgr::kTransaction == RM_XACT_ID);
static_assert(w::rmgr::kStorage == RM_SMGR_ID);
static_assert(w::rmgr::kDatabase == RM_DBASE_ID);
static_assert(w::rmgr::kRelationMap == RM_RELMAP_ID && w::rmgr::kStandby == RM_STANDBY_ID &&
              w::rmgr::kHeap2 == RM_HEAP2_ID && w::rmgr::kHeap == RM_HEAP_ID);
static_assert(w::rmgr::kLastBuiltin == RM_MAX_BUILTIN_ID);
static_assert(w::rmgr::kLastBuiltin == RM_LOGICALMSG_ID);
static_assert(w::rmgr::kFirstCustom == RM_MIN_CUSTOM_ID);

// XLOG.
static_assert(w::xlog::kCheckpointShutdown == XLOG_CHECKPOINT_SHUTDOWN);
static_assert(w::xlog::kCheckpointOnline == XLOG_CHECKPOINT_ONLINE);
static_assert(w::xlog::kSwitch == XLOG_SWITCH);
static_assert(w::xlog::kParameterChange == XLOG_PARAMETER_CHANGE);
static_assert(w::xlog::kRestorePoint == XLOG_RESTORE_POINT);
static_assert(w::xlog::kEndOfRecovery == XLOG_END_OF_RECOVERY);
static_assert(offsetof(CheckPoint, redo) == 0 && offsetof(CheckPoint, ThisTimeLineID) == 8 &&
              offsetof(CheckPoint, PrevTimeLineID) == 12 && w::xlog::kCheckpointMin == 16);
static_assert(w::xlog::kCheckpointNextXid == offsetof(CheckPoint, nextXid));
static_assert(offsetof(xl_end_of_recovery, ThisTimeLineID) == 8 &&
              offsetof(xl_end_of_recovery, PrevTimeLineID) == 12 &&
              w::xlog::kEndOfRecoveryMin == 16);
static_assert(offsetof(xl_parameter_change, MaxConnections) == 0 &&
              offsetof(xl_parameter_change, max_worker_processes) == 4 &&
              offsetof(xl_parameter_change, max_wal_senders) == 8 &&
              offsetof(xl_parameter_change, max_prepared_xacts) == 12 &&
              offsetof(xl_parameter_change, max_locks_per_xact) == 16 &&
              offsetof(xl_parameter_change, wal_level) == 20 &&
              offsetof(xl_parameter_change, wal_log_hints) == 24 &&
              offsetof(xl_parameter_change, track_commit_timestamp) == 25 &&
              w::xlog::kParameterChangeMin == 26);
static_assert(offsetof(xl_restore_point, rp_time) == 0 && offsetof(xl_restore_point, rp_name) == 8);
static_assert(w::xlog::kRestorePointName == MAXFNAMELEN);
static_assert(w::xlog::kRestorePointSize == sizeof(xl_restore_point));

// Transactions.
static_assert(w::xact::kOpMask == XLOG_XACT_OPMASK);
static_assert(w::xact::kHasInfo == XLOG_XACT_HAS_INFO);
static_assert(w::xact::kCommit == XLOG_XACT_COMMIT);
static_assert(w::xact::kPrepare == XLOG_XACT_PREPARE);
static_assert(w::xact::kAbort == XLOG_XACT_ABORT);
static_assert(w::xact::kCommitPrepared == XLOG_XACT_COMMIT_PREPARED);
static_assert(w::xact::kAbortPrepared == XLOG_XACT_ABORT_PREPARED);
static_assert(w::xact::kHasDatabase == XACT_XINFO_HAS_DBINFO);
static_assert(w::xact::kHasSubxacts == XACT_XINFO_HAS_SUBXACTS);
// 16 renamed relfilenodes to relfilelocators.
#ifdef XACT_XINFO_HAS_RELFILENODES
static_assert(w::xact::kHasRelations == XACT_XINFO_HAS_RELFILENODES);
#else
static_assert(w::xact::kHasRelations == XACT_XINFO_HAS_RELFILELOCATORS);
#endif
static_assert(w::xact::kHasInvalidations == XACT_XINFO_HAS_INVALS);
static_assert(w::xact::kHasTwoPhase == XACT_XINFO_HAS_TWOPHASE);
static_assert(w::xact::kHasGid == XACT_XINFO_HAS_GID);
static_assert(w::xact::kHasDroppedStats == XACT_XINFO_HAS_DROPPED_STATS);
static_assert(w::xact::kDatabaseSize == sizeof(xl_xact_dbinfo));
static_assert(w::xact::kSubxactSize == sizeof(TransactionId));
static_assert(w::xact::kInvalidationSize == sizeof(SharedInvalidationMessage));
static_assert(w::xact::StatsItemSize(kServerMajor) == sizeof(xl_xact_stats_item));
static_assert(w::xact::kGidMax == GIDSIZE);
static_assert(w::xact::kPrepareXid == offsetof(xl_xact_prepare, xid));
static_assert(w::xact::kPrepareTime == offsetof(xl_xact_prepare, prepared_at));
static_assert(w::xact::kPrepareGidLength == offsetof(xl_xact_prepare, gidlen));
static_assert(w::xact::kPrepareSubxacts == offsetof(xl_xact_prepare, nsubxacts));
static_assert(w::xact::kInvalidationOfRelation == SHAREDINVALRELCACHE_ID);
static_assert(w::xact::kInvalidationRelation == offsetof(SharedInvalRelcacheMsg, relId));
static_assert(w::xact::kPrepareSize == MAXALIGN(sizeof(xl_xact_prepare)));

// Storage. The relation stands before the fork, and after the number of blocks; 16 renamed its type and field.
static_assert(w::smgr::kCreate == XLOG_SMGR_CREATE);
static_assert(w::smgr::kTruncate == XLOG_SMGR_TRUNCATE);
static_assert(w::block::kRelation == offsetof(xl_smgr_create, forkNum));
static_assert(w::smgr::kCreateSize == sizeof(xl_smgr_create));
static_assert(offsetof(xl_smgr_truncate, blkno) == 0 &&
              offsetof(xl_smgr_truncate, flags) == 4 + w::block::kRelation);
static_assert(w::smgr::kTruncateSize == sizeof(xl_smgr_truncate));

// Databases.
static_assert(w::dbase::kCreateFileCopy == XLOG_DBASE_CREATE_FILE_COPY);
static_assert(w::dbase::kCreateWalLog == XLOG_DBASE_CREATE_WAL_LOG);
static_assert(w::dbase::kDrop == XLOG_DBASE_DROP);
static_assert(offsetof(xl_dbase_create_file_copy_rec, db_id) == 0 &&
              offsetof(xl_dbase_create_file_copy_rec, tablespace_id) == 4 &&
              offsetof(xl_dbase_create_wal_log_rec, db_id) == 0 &&
              offsetof(xl_dbase_create_wal_log_rec, tablespace_id) == 4 &&
              w::dbase::kCreateMin == sizeof(xl_dbase_create_wal_log_rec));
static_assert(w::dbase::kDropMin == MinSizeOfDbaseDropRec &&
              offsetof(xl_dbase_drop_rec, ntablespaces) == 4);
static_assert(w::dbase::kCopyFrom == offsetof(xl_dbase_create_file_copy_rec, src_db_id) &&
              w::dbase::kCopySize == sizeof(xl_dbase_create_file_copy_rec));

// Who runs, and maps of catalogs.
static_assert(w::standby::kRunningXacts == XLOG_RUNNING_XACTS);
static_assert(w::standby::kNextXid == offsetof(xl_running_xacts, nextXid) &&
              w::standby::kRunningXactsMin == offsetof(xl_running_xacts, xids));
static_assert(w::relmap::kUpdate == XLOG_RELMAP_UPDATE);
static_assert(w::relmap::kDatabase == offsetof(xl_relmap_update, dbid) &&
              w::relmap::kUpdateData == offsetof(xl_relmap_update, data));

// Heap.
static_assert(w::heap::kOpMask == XLOG_HEAP_OPMASK && w::heap::kInitPage == XLOG_HEAP_INIT_PAGE);
static_assert(w::heap::kInsert == XLOG_HEAP_INSERT && w::heap::kDelete == XLOG_HEAP_DELETE &&
              w::heap::kUpdate == XLOG_HEAP_UPDATE && w::heap::kHotUpdate == XLOG_HEAP_HOT_UPDATE &&
              w::heap::kInplace == XLOG_HEAP_INPLACE &&
              w::heap::kMultiInsert == XLOG_HEAP2_MULTI_INSERT);
static_assert(w::heap::kInsertSize == SizeOfHeapInsert &&
              w::heap::kInsertOffset == offsetof(xl_heap_insert, offnum));
static_assert(w::heap::kDeleteSize == SizeOfHeapDelete &&
              w::heap::kDeleteOffset == offsetof(xl_heap_delete, offnum) &&
              w::heap::kDeleteFlags == offsetof(xl_heap_delete, flags));
static_assert(w::heap::kDeleteIsSpeculative == XLH_DELETE_IS_SUPER &&
              w::heap::kDeleteIsMove == XLH_DELETE_IS_PARTITION_MOVE);
static_assert(w::heap::kUpdateSize == SizeOfHeapUpdate &&
              w::heap::kUpdateOldOffset == offsetof(xl_heap_update, old_offnum) &&
              w::heap::kUpdateFlags == offsetof(xl_heap_update, flags) &&
              w::heap::kUpdateNewOffset == offsetof(xl_heap_update, new_offnum));
static_assert(w::heap::kUpdatePrefix == XLH_UPDATE_PREFIX_FROM_OLD &&
              w::heap::kUpdateSuffix == XLH_UPDATE_SUFFIX_FROM_OLD);
static_assert(w::heap::kInplaceOffset == offsetof(xl_heap_inplace, offnum));
static_assert(w::heap::kHeader == SizeOfHeapHeader &&
              w::heap::kHeaderHoff == offsetof(xl_heap_header, t_hoff));
static_assert(w::heap_page::kLower == offsetof(PageHeaderData, pd_lower) &&
              w::heap_page::kItems == SizeOfPageHeaderData &&
              w::heap_page::kItemSize == sizeof(ItemIdData) &&
              w::heap_page::kItemNormal == LP_NORMAL);
static_assert(w::heap_page::kInfomask == offsetof(HeapTupleHeaderData, t_infomask) &&
              w::heap_page::kHoff == offsetof(HeapTupleHeaderData, t_hoff) &&
              w::heap_page::kTupleHeader == SizeofHeapTupleHeader);
static_assert(w::heap_page::kXmaxLockOnly == HEAP_XMAX_LOCK_ONLY &&
              w::heap_page::kXminCommitted == HEAP_XMIN_COMMITTED &&
              w::heap_page::kXminInvalid == HEAP_XMIN_INVALID &&
              w::heap_page::kXmaxCommitted == HEAP_XMAX_COMMITTED &&
              w::heap_page::kXmaxInvalid == HEAP_XMAX_INVALID &&
              w::heap_page::kXmaxIsMulti == HEAP_XMAX_IS_MULTI);
static_assert(w::heap_page::kMaxTuples == MaxHeapTuplesPerPage);

// Catalogs.
static_assert(w::catalog::kType == TypeRelationId && w::catalog::kProc == ProcedureRelationId &&
              w::catalog::kClass == RelationRelationId && w::catalog::kRole == AuthIdRelationId &&
              w::catalog::kDatabase == DatabaseRelationId &&
              w::catalog::kNamespace == NamespaceRelationId &&
              w::catalog::kExtension == ExtensionRelationId);
static_assert(w::catalog::kNameSize == NAMEDATALEN);
static_assert(w::catalog::kName == offsetof(FormData_pg_class, relname) &&
              w::catalog::kName == offsetof(FormData_pg_type, typname) &&
              w::catalog::kName == offsetof(FormData_pg_proc, proname) &&
              w::catalog::kName == offsetof(FormData_pg_authid, rolname) &&
              w::catalog::kName == offsetof(FormData_pg_database, datname) &&
              w::catalog::kName == offsetof(FormData_pg_namespace, nspname) &&
              w::catalog::kName == offsetof(FormData_pg_extension, extname));
static_assert(w::catalog::kClassNamespace == offsetof(FormData_pg_class, relnamespace) &&
              w::catalog::kClassFile == offsetof(FormData_pg_class, relfilenode) &&
              w::catalog::kClassTablespace == offsetof(FormData_pg_class, reltablespace) &&
              w::catalog::ClassPersistence(kServerMajor) ==
                  offsetof(FormData_pg_class, relpersistence) &&
              w::catalog::ClassKind(kServerMajor) == offsetof(FormData_pg_class, relkind));
static_assert(w::catalog::kProcNamespace == offsetof(FormData_pg_proc, pronamespace));
static_assert(w::catalog::kTypeNamespace == offsetof(FormData_pg_type, typnamespace) &&
              w::catalog::kTypeKind == offsetof(FormData_pg_type, typtype) &&
              w::catalog::kTypeCategory == offsetof(FormData_pg_type, typcategory));
static_assert(w::catalog::kDatabaseConnectionLimit == offsetof(FormData_pg_database, datconnlimit));

}  // namespace pitr::pg
