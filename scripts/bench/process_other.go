//go:build !linux

package main

import (
	"errors"
	"time"
)

var errNeedsLinux = errors.New("the benchmark reads CPU time and memory from /proc: run it on Linux")

func processesOf(string) ([]int, error) { return nil, errNeedsLinux }

func cpuTime([]int) (time.Duration, error) { return 0, errNeedsLinux }

func residentBytes(int) (int64, error) { return 0, errNeedsLinux }
