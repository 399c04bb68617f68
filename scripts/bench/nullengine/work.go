package main

import (
	"fmt"
	"regexp"
	"strconv"
)

// work is how much the engine does for one request besides the lease.
type work struct {
	// writes is the number of storage writes, or of deletions for a revocation.
	writes int
	// calls is the number of HTTPS requests to the vendor.
	calls int
}

// workload is the work of each operation on a lease. Its name is the role that is read: "i2.1-n1.1-v1.1" makes two
// writes and one call for the issue, one of each for a renewal and one of each for a revocation.
type workload struct{ issue, renew, revoke work }

// workloadName has one digit for each number.
var workloadName = regexp.MustCompile(`^i(\d)\.(\d)-n(\d)\.(\d)-v(\d)\.(\d)$`)

// parseWorkload reads the name of a workload.
func parseWorkload(name string) (workload, error) {
	digits := workloadName.FindStringSubmatch(name)
	if digits == nil {
		return workload{}, fmt.Errorf("role %q does not have the form i2.1-n1.1-v1.1", name)
	}
	number := make([]int, len(digits))
	for i, digit := range digits[1:] {
		var err error
		if number[i], err = strconv.Atoi(digit); err != nil {
			return workload{}, err
		}
	}
	return workload{
		issue:  work{number[0], number[1]},
		renew:  work{number[2], number[3]},
		revoke: work{number[4], number[5]},
	}, nil
}
