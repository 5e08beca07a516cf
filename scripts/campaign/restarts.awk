# SPDX-License-Identifier: BSD-3-Clause
# Of what test_restarts prints: "key=value" of each result line becomes a row.
BEGIN {
    printf "On %s, on %d CPUs (%s), daemon and front-end sharing them:\n\n", date, cpus, model
    print "| mode | source | depth | request | restarts | requests | lost | answered twice | " \
        "start to answer, mean | longest | longest gap between answers |"
    print "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
}
/^# restarts=/ {
    for (i = 2; i <= NF; i++) {
        split($i, pair, "=")
        v[pair[1]] = pair[2]
    }
    # The test fails when one is answered twice or amiss: here it can only be 0.
    printf "| %s | %s | %s | %s B | %s | %s | %s | 0 | %s ms | %s ms | %s ms |\n", v["mode"],
        v["source"], v["depth"], v["size"], v["restarts"], v["requests"],
        v["requests"] - v["answers"], v["start_to_answer_mean_ms"],
        v["start_to_answer_max_ms"], v["longest_gap_ms"]
}
