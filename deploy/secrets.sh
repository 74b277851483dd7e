#!/bin/sh
# Makes the secrets that docker-compose.yml reads, on first use: `make secrets`, or `sh deploy/secrets.sh [DIRECTORY]`.
#
# A secret that is there is left as it is. To change one, write it into its file (or delete the file), run this again, and
# recreate the containers. Passwords of PostgreSQL and Grafana are read only when their volumes are empty: change them there too.
#
# The files can be read by everybody, because containers run as users of their own; the directory lets nobody else in.
set -eu

directory=${1:-$(dirname "$0")/secrets}
umask 022
mkdir -p "$directory"
chmod 700 "$directory"
cd "$directory"

random() { # N: a word of N random bytes
    od -An -vtx1 -N"$1" /dev/urandom | tr -d ' \n'
}

sha256() { # FILE: of what it holds, but for the end of the line
    tr -d '\n' <"$1" | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d' ' -f1
}

put() { # NAME: what is on standard input, whole or not at all
    cat >"$1.new"
    chmod 444 "$1.new"
    mv -f "$1.new" "$1"
}

keep() { # NAME TEXT: made once
    [ -s "$1" ] || { printf '%s\n' "$2" | put "$1" && echo "made $directory/$1"; }
}

keep admin_token "p.$(random 32)"
keep signing_secret "$(random 32)"
keep postgres_password "$(random 24)"
keep clickhouse_password "$(random 24)"
keep clickhouse_read_password "$(random 24)"
keep grafana_password "$(random 12)"
keep clickhouse_cluster_secret "$(random 32)"

# What follows is made of the above, each time.
put database_url <<END
postgresql://sluice:$(cat postgres_password)@postgres:5432/sluice
END

put clickhouse_users.xml <<END
<clickhouse>
    <users>
        <sluice><password_sha256_hex>$(sha256 clickhouse_password)</password_sha256_hex></sluice>
        <sluice_reader><password_sha256_hex>$(sha256 clickhouse_read_password)</password_sha256_hex></sluice_reader>
    </users>
</clickhouse>
END

put clickhouse_cluster.xml <<END
<clickhouse>
    <cluster_secret>$(cat clickhouse_cluster_secret)</cluster_secret>
    <interserver_http_credentials>
        <user>interserver</user>
        <password>$(cat clickhouse_cluster_secret)</password>
    </interserver_http_credentials>
</clickhouse>
END
