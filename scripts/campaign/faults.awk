# SPDX-License-Identifier: BSD-3-Clause
# Of what the tests of faults print: pairs of "# tried: ..." and "# happened: ..." before a test's "ok"
# are its rows. What a program has to say of a failure goes to stderr. "form" is tap or table.
function row(verdict, what, text) {
    rows++
    gsub(/\|/, "/", text)
    if (form == "tap")
        printf "%sok %d - %s%s\n", verdict == "FAILED" ? "not " : "", rows, what, \
            verdict == "skipped" ? " # SKIP" : ": " text
    else
        printf "| %s | %s%s |\n", what, verdict == "" ? "" : verdict ": ", text
    fflush()
}
function result(verdict, name,   i) {
    if (verdict == "FAILED")
        failed = told = 1
    if (n == 0 || verdict != "")
        row(verdict, name, verdict == "" ? "as it must" : "see what the test says")
    for (i = 1; verdict == "" && i <= n; i++)
        row("", tried[i], happened[i])
    n = 0
}
BEGIN { if (form != "tap") print "| what was tried | what happened |\n| --- | --- |" }
/^# tried: /    { tried[++n] = substr($0, 10); happened[n] = ""; next }
/^# happened: / { happened[n] = substr($0, 13); next }
/^# restarts=/  {
    tried[++n] = "kill -9 and start again, " substr($3, 6) " mode, source-" $4 ", " $5
    happened[n] = substr($2, 10) " restarts, " substr($7, 10) " requests, " substr($8, 9) " answers"
    next
}
/^(not )?ok / {
    name = $0
    sub(/^(not )?ok [0-9]* ?(- |# SKIP )?/, "", name)
    result($0 ~ /# SKIP/ ? "skipped" : $1 == "not" ? "FAILED" : "", name)
    next
}
/^# program .* ended with / {
    if ($NF != 0 && !told)
        result("FAILED", "test_" $3 " ended with " $NF)
    told = n = 0
    next
}
/[Ee][Rr][Rr][Oo][Rr]/ { print >"/dev/stderr" }
END {
    if (form == "tap")
        print "1.." rows
    exit failed > 0
}
