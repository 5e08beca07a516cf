# SPDX-License-Identifier: BSD-3-Clause
# Of the TAP of the tests in guests: a row for each case, with the seconds that it took.
function row() {
    if (name != "")
        printf "| %s | %s | %s |\n", name, result, seconds
    name = ""
}
BEGIN {
    print head "\n"
    print "| what happened | outcome | seconds |"
    print "| --- | --- | ---: |"
}
/^# QEMU.s fault: / { fault = substr($0, 3) }
/^(not )?ok / {
    row()
    result = /^not/ ? "**failed**" : "passed"
    seconds = ""
    name = $0
    sub(/^(not )?ok [0-9]+ - /, "", name)
    if (match(name, / # SKIP /)) {
        result = substr(name, RSTART + RLENGTH)
        name = substr(name, 1, RSTART - 1)
        result = (result == fault ? "not passed; " : "not run: ") result
    } else if (fault != "") {
        result = result "; " fault
    }
    fault = ""
}
/^# [0-9.]+ s$/ && seconds == "" { seconds = $2 }
END { row() }
