#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
#
# The campaign of faults, by the name under which it is known: campaign.sh faults.

exec "$(dirname "${BASH_SOURCE[0]}")/campaign.sh" faults "$@"
