# Removes one lab: its processes, network namespaces, BPF file system and directory.
# $1: the lab's name, $2: its directory. Begins when standard input ends, which is when the lab is
# dropped or its owner is gone, however that happened (also by kill -9).
trap '' HUP INT TERM PIPE
PATH=$PATH:/usr/sbin:/sbin
cat >/dev/null

for namespace in $(ls /run/netns 2>/dev/null | grep "^$1-"); do
    processes=$(ip netns pids "$namespace" 2>/dev/null)
    [ -z "$processes" ] || kill -KILL $processes 2>/dev/null
    ip netns del "$namespace" 2>/dev/null
done
# What a killed `dglb` leaves: its socket, which `lab::node` has noted.
cat "$2"/*/*.socket 2>/dev/null | while read -r socket; do
    rm -f "$socket"
done
if [ -d "$2" ]; then
    umount "$2/bpf" 2>/dev/null
    rm -rf --one-file-system "$2"
fi
