// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"

	"vhost-user-9p/test/bench/report"
)

// collected is from all tests of the process.
var collected report.Report

func record(r ...report.Result) { collected.Results = append(collected.Results, r...) }

// flush writes what was collected, if there is anything.
func flush() error {
	if len(collected.Results)+len(collected.Figures) == 0 {
		return nil
	}
	if err := report.Print(os.Stdout, collected); err != nil {
		return err
	}
	if *resultsDir == "" {
		return nil
	}
	if err := report.Write(*resultsDir, collected); err != nil {
		return err
	}
	fmt.Printf("\nThe results are in %s: results.txt, results.json, results.svg.\n", *resultsDir)
	return nil
}
