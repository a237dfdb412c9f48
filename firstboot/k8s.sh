# shellcheck shell=sh
# What the steps of a kubeadm node share; they read this file with `.`.
#
# Neither `kubeadm init` nor `kubeadm join` can be run again after it was cut
# off: `kubeadm reset` comes before the next attempt, and takes everything
# with it, the node's authorities in /etc/kubernetes/pki as well. So these
# are kept in /etc/piflash/k8s/pki and copied for every attempt, and a node
# that finished has a mark by which it is never reset again.

# shellcheck source=firstboot/report.sh
. "${PIFLASH_ROOT:-}/usr/local/lib/piflash/report.sh"
# shellcheck source=firstboot/certificates.sh
. "$lib/certificates.sh"

data=$config/k8s
# shellcheck disable=SC2034 # for those who read this file
name=$(head -n 1 "$data/name")
socket=$(head -n 1 "$data/socket")
kubernetes=$root/etc/kubernetes
admin=$kubernetes/admin.conf
kubelet=$kubernetes/kubelet.conf
# This node is one of its cluster.
member=$state/k8s/member
# Seconds. A tick is how often something is looked at; tests make it short.
tick=${PIFLASH_TICK:-1}
# How long others are waited for before the step says what it waits for.
cluster_wait=${PIFLASH_CLUSTER_WAIT:-300}

mkdir -p "$run"

fail() {
    echo "$*" >&2
    exit 1
}

# kubectl as the cluster's owner, on a master.
as_admin() {
    timeout 120 kubectl --kubeconfig "$admin" --request-timeout=60s "$@"
}

# kubectl as this node itself.
as_node() {
    timeout 120 kubectl --kubeconfig "$kubelet" --request-timeout=60s "$@"
}

# wait_for SECONDS COMMAND...: waits for it to succeed.
wait_for() {
    deadline=$(($(uptime_seconds) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(uptime_seconds)" -lt "$deadline" ] || return 1
        # What is asked starts a large program: asked each second, it would
        # keep a core busy, and the API server of all.
        sleep "$((tick * 5))"
    done
}

# answers HOST:PORT: whether an API server of this node's cluster is there.
# It says so to everybody who asks, by the name of the token with which nodes
# join; whether it is the right one is decided by kubeadm, which has a digest
# of its authority.
answers() {
    # kubectl asks for a name on the terminal where it has no credentials at
    # all. No API server knows passwords any more: with one, one is nobody.
    printf '%s\n' 'apiVersion: v1' 'kind: Config' 'current-context: nobody' \
        'users: [{name: nobody, user: {username: nobody}}]' \
        'contexts: [{name: nobody, context: {user: nobody, cluster: it}}]' \
        >"$run/nobody.conf"
    timeout 60 kubectl --kubeconfig "$run/nobody.conf" \
        --server "https://$1" \
        --insecure-skip-tls-verify --request-timeout=20s get --raw \
        /api/v1/namespaces/kube-public/configmaps/cluster-info \
        >"$run/cluster-info" 2>"$run/cluster-info.error" &&
        grep -q "jws-kubeconfig-$(head -n 1 "$data/token-id")" \
            "$run/cluster-info"
}

# Waits for the cluster, or says why it cannot be joined yet.
wait_for_cluster() {
    endpoint=$(head -n 1 "$data/endpoint")
    wait_for "$cluster_wait" answers "$endpoint" && return
    if [ -s "$run/cluster-info" ]; then
        fail "the cluster at $endpoint does not know the token of this node:" \
            "is it another cluster, or was the token deleted there?"
    fi
    tail -n 3 "$run/cluster-info.error"
    way="If it is gone for good: piflash build --new-cluster"
    [ ! -e "$config/join-only" ] || way=$(head -n 1 "$config/join-only")
    fail "waiting for the cluster: nothing at https://$endpoint yet. $way"
}

# Whether an earlier attempt left something behind.
has_begun() {
    for path in "$kubelet" "$kubernetes/bootstrap-kubelet.conf" "$admin" \
        "$kubernetes/pki/ca.crt" "$kubernetes/manifests"/*.yaml \
        "$root/var/lib/etcd/member"; do
        [ ! -e "$path" ] || return 0
    done
    return 1
}

# Undoes an earlier attempt.
reset() {
    [ ! -e "$member" ] || fail "a node of a cluster is not reset"
    echo "an earlier attempt was not completed: kubeadm reset"
    kubeadm reset --force --cri-socket "$socket" || fail "kubeadm reset failed"
    # Where a power cut left etcd's manifest empty, kubeadm takes etcd for
    # somebody else's and leaves its data, with which no init begins again.
    [ ! -d "$root/var/lib/etcd" ] ||
        find "$root/var/lib/etcd" -mindepth 1 -maxdepth 1 \
            -exec rm -rf {} + ||
        fail "cannot empty /var/lib/etcd"
}

# Puts the cluster's authorities where kubeadm looks for them, and makes all
# else by itself. A worker has none, and must not have any.
seed() {
    [ -d "$data/pki" ] || return 0
    rm -rf "$kubernetes/pki"
    mkdir -p "$kubernetes"
    (umask 077 && cp -R "$data/pki" "$kubernetes/pki")
}

# How long the certificates of the control plane are good for, as kubeadm is
# told: as long as the first of the cluster's authorities, whose end nothing
# that they sign can outlive. Less an hour, as kubeadm counts from when it
# starts.
validity_period() {
    end=$(certificate_ends "$data"/pki/*.crt "$data"/pki/etcd/*.crt |
        first_end)
    end=${end%% *}
    [ -n "$end" ] || fail "no certificate of an authority in $data/pki"
    hours=$(((end - $(date +%s)) / 3600 - 1))
    [ "$hours" -gt 0 ] || fail "the cluster's authorities end at" \
        "$(date -u -d "@$end" +%Y-%m-%dT%H:%M:%SZ), and the clock says $(now)"
    echo "${hours}h0m0s"
}

# Where this node's name servers are: a pod that were given the stub of
# systemd-resolved would ask itself.
resolv_conf() {
    if systemctl is-active --quiet systemd-resolved.service; then
        echo /run/systemd/resolve/resolv.conf
    else
        echo /etc/resolv.conf
    fi
}

# kubeadm_config VERSION: the node's configuration, with what only the running
# node knows.
kubeadm_config() {
    period=
    if grep -q '^certificateValidityPeriod:' "$data/kubeadm.yaml"; then
        period=$(validity_period) || return 1
    fi
    servers=$(resolv_conf)
    # v1beta4 has a list of flags, v1beta3 a mapping.
    sed -e "s|^kubernetesVersion: .*|kubernetesVersion: $1|" \
        -e "s|^\(certificateValidityPeriod: \).*|\1$period|" \
        -e "/^  - name: resolv-conf\$/{n;s|value: .*|value: $servers|;}" \
        -e "s|^\(    resolv-conf: \).*|\1$servers|" "$data/kubeadm.yaml"
}

# Why kubeadm failed, of what it has printed. Up to 1.33 its checks are part
# of the error, since then they stand before a last line that says nothing.
kubeadm_reason() {
    awk '/\[ERROR / {
        sub(/^[ \t]+/, "")
        all = all (all == "" ? "" : "; ") $0
    }
    tolower($0) ~ /^error/ { last = $0 }
    END { print all == "" ? last : all }' "$1"
}

# run_kubeadm WORD...: with the node's configuration, for the version that is
# installed. Tokens do not come into the log.
run_kubeadm() {
    version=$(kubeadm version -o short) || fail "kubeadm does not run"
    (umask 077 && kubeadm_config "$version" >"$run/kubeadm.yaml") || exit 1
    echo "kubeadm $* ($version)"
    rm -f "$run/kubeadm.code"
    (umask 077 && : >"$run/kubeadm.output")
    {
        code=0
        kubeadm "$@" --config "$run/kubeadm.yaml" 2>&1 || code=$?
        echo "$code" >"$run/kubeadm.code"
    } | while IFS= read -r line || [ -n "$line" ]; do
        # Line by line: not every sed has -u.
        printf '%s\n' "$line" | mask | tee -a "$run/kubeadm.output"
    done
    why=$(kubeadm_reason "$run/kubeadm.output")
    # All of it is in the log.
    rm -f "$run/kubeadm.yaml" "$run/kubeadm.output"
    [ "$(cat "$run/kubeadm.code")" = 0 ] ||
        fail "kubeadm $1 failed: ${why:-see the log}"
}

# Writes down that this node is one of its cluster.
finish() {
    mkdir -p "${member%/*}"
    now | put "$member"
    echo "this node is a member of its cluster"
}
