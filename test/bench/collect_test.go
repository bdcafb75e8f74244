// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"fmt"
	"os"

	"vhost-user-9p/test/bench/report"
)

// results are those of all tests of the process.
var results []report.Result

func record(r ...report.Result) { results = append(results, r...) }

// flush writes the results, if there are any.
func flush() error {
	if len(results) == 0 {
		return nil
	}
	if err := report.Print(os.Stdout, results); err != nil {
		return err
	}
	if *resultsDir == "" {
		return nil
	}
	if err := report.Write(*resultsDir, results); err != nil {
		return err
	}
	fmt.Printf("\nThe results are in %s: results.txt, results.json, results.svg.\n", *resultsDir)
	return nil
}
