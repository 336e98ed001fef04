#!/bin/bash
# The main job, end to end: `demo.sh PROFFER`. Starts a cluster, counts the words of this machine's own texts with an
# array of map tasks and a reduce task, shows what the kernel counted, shows that limits are real, and stops cleanly.
set -euo pipefail
proffer=$1
dir=$(mktemp -d "${TMPDIR:-/tmp}/proffer-demo.XXXXXX")
in=$dir/in
out=$dir/out
mkdir "$in" "$out"
# Root in a task is nobody outside of it.
chmod 1777 "$out"
dev=

title() { printf '\n\033[1m%s\033[0m\n' "$*"; }

# What must be the same before and after. A namespace lives as long as a process or a mount holds it.
cgroups() { find /sys/fs/cgroup -type d -path '*/proffer/*' 2>/dev/null | sort; }
mounts() { sort /proc/self/mounts; }
contained() { grep -l '/proffer/' /proc/[0-9]*/cgroup 2>/dev/null | sort || true; }
snapshot() { cgroups >"$dir/cgroups.$1"; mounts >"$dir/mounts.$1"; contained >"$dir/contained.$1"; }

stop() {
    if [ -n "$dev" ] && kill -TERM "$dev" 2>/dev/null; then
        wait "$dev" || { echo "the cluster did not stop well; see $dir/dev.log" >&2; dev=; exit 1; }
    fi
    dev=
}
trap 'stop; rm -rf "$dir"' EXIT

# Real input: licences, copyright files and whatever text this machine has, a few hundred files. Not the few huge
# ones, which are lists of file names.
{
    find /usr/share/common-licenses /usr/share/doc -type f -size -128k \( -name copyright -o -path '*/common-licenses/*' \) 2>/dev/null
    find /usr/share/perl* /usr/lib/python3* "${CARGO_HOME:-$HOME/.cargo}/registry/src" -type f \
        \( -name '*.pm' -o -name '*.py' -o -name '*.rs' \) 2>/dev/null
} | head -n 600 >"$dir/files" || true
n_files=0
while read -r file; do
    n_files=$((n_files + 1))
    cp "$file" "$in/$n_files"
done <"$dir/files"
chmod -R a+rX "$in"
[ "$n_files" -gt 0 ] || { echo "no text files found on this machine" >&2; exit 1; }

snapshot before
title "1. A cluster: master, agent, and the batch and service frameworks"
# What a task may see of this host is its operator's to say.
PROFFER_ALLOW_HOST_PATH=$in,$out "$proffer" dev --listen 127.0.0.1:0 --data-dir "$dir/data" >"$dir/dev.log" 2>&1 &
dev=$!
until grep -q '^ready' "$dir/dev.log"; do
    kill -0 "$dev" 2>/dev/null || { cat "$dir/dev.log" >&2; dev=; exit 1; }
    sleep 0.05
done
cat "$dir/dev.log"
PROFFER_MASTER=$(sed -n 's/.*"master": *"\([^"]*\)".*/\1/p' "$dir/data/dev.json" | head -n 1)
export PROFFER_MASTER
"$proffer" agents

title "2. A job: count the words of $n_files files in 8 map tasks, then sum them up"
cat >"$dir/corpus.yaml" <<YAML
name: corpus
tasks:
  - name: count
    count: 8
    cpus: 0.25
    mem: 64MiB
    command:
      - sh
      - -c
      - >-
        ls /tmp/in | awk -v n=8 -v i=\$PROFFER_TASK_INDEX 'NR % n == i { print "/tmp/in/" \$0 }' | xargs cat |
        tr -cs '[:alpha:]' '\\n' | tr '[:upper:]' '[:lower:]' | LC_ALL=C sort | uniq -c > /tmp/out/part-\$PROFFER_TASK_INDEX
    volumes:
      - { path: /tmp/in, host: $in, read_only: true }
      - { path: /tmp/out, host: $out }
    retries: 1
    timeout: 5m
  - name: sum
    after: [count]
    cpus: 0.5
    mem: 128MiB
    command:
      - sh
      - -c
      - >-
        cat /tmp/out/part-* | awk '{ n[\$2] += \$1; all += \$1 }
        END { for (word in n) print n[word], word | "sort -rn | head -n 10"; close("sort -rn | head -n 10");
        print all " words, " length(n) " different" }'
    volumes: [{ path: /tmp/out, host: $out, read_only: true }]
YAML
"$proffer" job submit "$dir/corpus.yaml" --wait
title "The result, printed by the task \`sum\`"
"$proffer" job logs corpus --task sum
title "What the kernel counted"
"$proffer" job status corpus

title "3. Limits are real"
cat >"$dir/limits.yaml" <<'YAML'
name: limits
tasks:
  - name: eats-memory           # reads an endless line into memory
    mem: 48MiB
    cpus: 0.25
    command: [tail, /dev/zero]
  - name: forks                 # wants 30 children, may have 10 processes
    mem: 48MiB
    cpus: 0.25
    pids: 10
    command: [sh, -c, 'for i in $(seq 30); do sleep 2 & done; wait']
  - name: spins                 # wants a whole core for 3 seconds, may have a fifth
    mem: 48MiB
    cpus: 0.2
    command: [sh, -c, 'timeout 3 sh -c "while :; do :; done" || true']
YAML
"$proffer" job submit "$dir/limits.yaml" --wait || true
"$proffer" job status limits

title "4. A stop that leaves nothing"
stop
snapshot after
for what in cgroups mounts contained; do
    diff "$dir/$what.before" "$dir/$what.after" >"$dir/diff" || { echo "$what left behind:" >&2; cat "$dir/diff" >&2; exit 1; }
done
if pgrep -f "$dir/data" >/dev/null; then
    echo "processes left behind:" >&2
    pgrep -af "$dir/data" >&2
    exit 1
fi
echo "no process, cgroup, mount or namespace is left"
