# shellcheck shell=sh
# When certificates end; for scripts that read report.sh and this file with
# `.`. It takes nothing that is not on every system: a certificate is base64 of
# DER, in which two times stand side by side.
# shellcheck disable=SC2154 # of report.sh

# certificate_ends FILE...: of every certificate in the files, when it begins
# and ends in seconds since 1970, and the file: `BEGIN END FILE`. The files
# are PEM, or kubeconfigs with the client's certificate in them.
certificate_ends() {
    for file; do
        [ -f "$file" ] || continue
        case $file in
        *.conf | *.kubeconfig)
            sed -n 's/^ *client-certificate-data: *//p' "$file" |
                base64 -d 2>/dev/null
            ;;
        *) cat "$file" ;;
        esac | awk '
            /-----BEGIN CERTIFICATE-----/ { inside = 1; text = ""; next }
            /-----END CERTIFICATE-----/ { print text; inside = 0; next }
            inside { gsub(/[^A-Za-z0-9+\/=]/, ""); text = text $0 }
        ' | while IFS= read -r text; do
            printf '%s\n' "$text" | base64 -d 2>/dev/null |
                od -A n -v -t x1 | tr -d ' \n'
            echo
        done | validity | while read -r begin end; do
            echo "$begin $end $file"
        done
    done
}

# The validity of certificates, one a line in hex. It is a SEQUENCE of two
# times, UTCTime (17 0d) or from 2050 on GeneralizedTime (18 0f), whose
# digits are 30 to 39 in hex and which end with Z (5a): RFC 5280, 4.1.2.5.
validity() {
    awk '
        # What stands at `at` as digits; `at` goes on behind it.
        function digits(hex, n,    text) {
            text = ""
            while (n-- > 0) {
                text = text substr(hex, at + 1, 1)
                at += 2
            }
            return text
        }
        function seconds(hex,    kind, year, month, day, rest, era, yoe, doy) {
            kind = substr(hex, at, 4)
            at += 4
            if (kind == "180f") {
                year = digits(hex, 4) + 0
            } else {
                year = digits(hex, 2) + 0
                year += year < 50 ? 2000 : 1900
            }
            month = digits(hex, 2) + 0
            day = digits(hex, 2) + 0
            rest = digits(hex, 2) * 3600
            rest += digits(hex, 2) * 60
            rest += digits(hex, 2)
            at += 2
            # Days since 1970, in years that begin with March.
            if (month <= 2) {
                year--
                month += 12
            }
            era = int(year / 400)
            yoe = year - era * 400
            doy = int((153 * (month - 3) + 2) / 5) + day - 1
            day = era * 146097 + yoe * 365 + int(yoe / 4) - int(yoe / 100) \
                + doy - 719468
            return day * 86400 + rest
        }
        {
            digit = "3[0-9]"
            six = digit digit digit digit digit digit
            short = "170d" six six "5a"
            long = "180f" digit digit six six "5a"
            time = "(" short "|" long ")"
            if (!match($0, "30(1e|20|22)" time time)) next
            at = RSTART + 4
            begin = seconds($0)
            printf "%.0f %.0f\n", begin, seconds($0)
        }
    '
}

# The files whose certificates a member of a cluster works with.
member_certificates() {
    kubernetes=$root/etc/kubernetes
    k3s=$root/var/lib/rancher/k3s
    certificate_ends "$kubernetes"/pki/*.crt "$kubernetes"/pki/etcd/*.crt \
        "$kubernetes"/*.conf "$k3s"/server/tls/*.crt \
        "$k3s"/server/tls/etcd/*.crt "$k3s"/agent/*.crt
    # The kubelet renews its own when 70 to 90 percent of its life are over:
    # it counts only where that has failed.
    certificate_ends "$root/var/lib/kubelet/pki/kubelet-client-current.pem" |
        awk -v now="$(date +%s)" 'now > $1 + ($2 - $1) * 0.95'
}

# first_end: of lines of `certificate_ends`, the one that ends first, as
# `END FILE`.
first_end() {
    sort -n -k 2 | head -n 1 | cut -d ' ' -f 2-
}
