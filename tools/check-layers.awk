# check-layers.awk - fails when a file includes what its folder may not (tools/layers.txt).
# usage: awk -f tools/check-layers.awk tools/layers.txt FILE…
# Angle-bracket headers without a listed owner anywhere are the system's and free for all.
FNR == NR {
    sub(/#.*/, "")
    if (split($0, row, ":") < 2) next
    gsub(/[ \t]/, "", row[1])
    n = split(row[2], names, /[ \t]+/)
    for (i = 1; i <= n; i++) if (names[i] != "") { allow[row[1], names[i]] = 1; owned[names[i]] = 1 }
    folders[row[1]] = 1
    next
}
FNR == 1 {
    folder = FILENAME
    while (folder != "" && !(folder in folders)) if (!sub(/\/[^\/]*$/, "", folder)) folder = ""
}
/^[ \t]*#[ \t]*include/ && folder != "" {
    header = $0
    quoted = header ~ /"/
    gsub(/^[^<"]*[<"]|[>"].*$/, "", header)
    head = header
    if (head ~ /\//) sub(/\/.*/, "/", head)
    if (quoted) {
        if (header !~ /\//) { if (header != "model.h" || (folder, "model.h") in allow || folder == "model_shim") next }
        target = header
        sub(/\/[^\/]*$/, "", target)
        if (folder == "model_shim") next
        for (t = target; t != ""; ) {
            if ("service/" t == folder || t == folder || ("service/" t in folders && (folder, "service/" t) in allow) || (folder, t) in allow) next
            if (!sub(/\/[^\/]*$/, "", t)) t = ""
        }
        bad()
    } else if (((header in owned) || (head in owned)) && !((folder, header) in allow) && !((folder, head) in allow)) bad()
}
function bad() { printf "%s:%d: %s may not include %s\n", FILENAME, FNR, folder, header; failed = 1 }
END { exit failed }
