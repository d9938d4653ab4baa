# Sourced by test/run: what tests need around them, made for one run in its directory $work and removed at its end.
# shellcheck shell=bash disable=SC2154

# Places that only root can make, for tests that skip without them: a file system that is soon full (PITR_SMALL_FS), one for branches
# (PITR_BRANCH_FS), a mount point for a data directory (PITR_MOUNTED), a disk whose power can be cut (PITR_XFS; a root process of ours obeys
# PITR_XFS_ORDERS), and one on which files can share blocks (PITR_REFLINK).
places=()
xfs_servant=
make_places() {
  [ "$(id -u)" -eq 0 ] && [ ${#places[@]} -eq 0 ] || return 0
  local name size
  for name in small:100m mounted:400m branches:330m; do
    size=${name#*:} name=${name%:*}
    mkdir -p "$work/$name"
    mount -t tmpfs -o "size=$size,mode=0700,uid=$(id -u "$server_user")" none "$work/$name" 2>/dev/null || {
      say "mounting is not possible: tests of small disks, mount points and power cuts are skipped"
      return 0
    }
    places+=("$work/$name")
  done
  export PITR_SMALL_FS=$work/small PITR_MOUNTED=$work/mounted PITR_BRANCH_FS=$work/branches
  make_xfs || say "no XFS on a loop device: tests of power cuts are skipped"
  make_reflink || say "no XFS with reflink on a loop device: its tests are skipped"
}

make_reflink() {
  local disk=$work/reflink.disk mount=$work/reflink
  command -v mkfs.xfs >/dev/null || return 1
  truncate -s 3G "$disk" && mkfs.xfs -q -m reflink=1 "$disk" && mkdir "$mount" || return 1
  mount -o loop "$disk" "$mount" || return 1
  places+=("$mount")
  hand_over "$mount"
  export PITR_REFLINK=$mount
}

# The same device throughout: with another one after a cut the directory would look like a copy (lease_proof.h).
xfs_device=
make_xfs() {
  local disk=$work/xfs.disk mount=$work/xfs orders=$work/xfs.orders
  command -v mkfs.xfs >/dev/null && command -v xfs_io >/dev/null || return 1
  truncate -s 3G "$disk" && mkfs.xfs -q "$disk" && mkdir "$mount" || return 1
  xfs_device=$(losetup --find --show "$disk") && mount "$xfs_device" "$mount" || return 1
  places+=("$mount")
  mkfifo -m 622 "$orders"
  hand_over "$mount"
  { while true; do
      while read -r order; do
        case $order in
          cut) xfs_io -x -c shutdown "$mount" ;;
          back) umount "$mount" && mount_afresh "$mount" ;;
        esac >"$work/xfs.log" 2>&1
        echo "$order $?" >"$work/xfs.answer.new"
        mv "$work/xfs.answer.new" "$work/xfs.answer"
      done <"$orders"
    done } &
  xfs_servant=$!
  export PITR_XFS=$mount PITR_XFS_ORDERS=$orders PITR_XFS_ANSWER=$work/xfs.answer
}

# Mounted elsewhere still (another mount namespace), a file system that was shut down comes back as it is.
mount_afresh() { # DIRECTORY
  local try
  for try in {1..100}; do
    mount "$xfs_device" "$1" || return 1
    if touch "$1/.written" && rm "$1/.written"; then return 0; fi
    umount "$1" || return 1
    sleep 0.1
  done
  echo "$xfs_device is in use after $((try / 10)) s"
  return 1
}

remove_places() {
  local place
  [ -z "$xfs_servant" ] || kill "$xfs_servant" 2>/dev/null
  for place in "${places[@]}"; do
    for _ in 1 2 3 4 5 6 7 8 9 10; do
      umount "$place" 2>/dev/null && break
      sleep 0.2
    done
  done
  [ -z "$xfs_device" ] || losetup --detach "$xfs_device"
}

# A real S3 server (test/rgw) for the rest of this run, where its packages are; its addresses are in PITR_TEST_S3_….
rgw=
start_rgw() {
  [ -z "$rgw" ] || { own_s3_keys; return 0; }
  command -v radosgw >/dev/null && command -v ceph-mon >/dev/null && command -v ceph-osd >/dev/null || {
    say "no S3 server: radosgw, ceph-mon or ceph-osd is missing"
    return 0
  }
  make_work
  local port line
  for port in $(shuf -i 20000-29000 -n 50); do
    ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && ! (exec 3<>"/dev/tcp/127.0.0.1/$((port + 3))") 2>/dev/null && break
  done
  cp test/rgw "$work/rgw.sh"
  mkdir "$work/s3"
  hand_over "$work/s3" "$work/home" "$work/tmp"
  rgw=$work/s3/rgw
  if ! as_user env TLS=1 STS=1 "$work/rgw.sh" start "$rgw" "$port"; then
    say "the S3 server did not start"
    failed=$((failed + 1))
    return 1
  fi
  while IFS= read -r line; do export "${line?}"; done <"$rgw/env"
  export PITR_TEST_S3_SERVER_CREDENTIALS=$rgw/credentials PITR_TEST_RGW=$work/rgw.sh PITR_TEST_RGW_DIR=$rgw
  own_s3_keys
}

# A file of keys must belong to whoever reads it: servers have their own, and whatever we run ourselves has these. What else a stage
# hands over may have taken them along.
own_s3_keys() {
  install -m 600 "$rgw/credentials" "$work/s3.credentials"
  install -m 600 "$rgw/session" "$work/s3.session"
  export PITR_TEST_S3_CREDENTIALS=$work/s3.credentials PITR_TEST_S3_SESSION=$work/s3.session
}
