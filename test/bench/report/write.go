// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Write writes results.txt (see Print), results.json (see Read) and results.svg (a chart)
// to a folder, which is made if it is missing.
func Write(dir string, results []Result) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var table, picture bytes.Buffer
	if err := Print(&table, results); err != nil {
		return err
	}
	chart(&picture, results)
	content, err := json.MarshalIndent(results, "", "\t")
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"results.txt":  table.Bytes(),
		"results.json": append(content, '\n'),
		"results.svg":  picture.Bytes(),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Read returns the results in a results.json. Its durations are nanoseconds.
func Read(path string) ([]Result, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var results []Result
	if err := json.Unmarshal(content, &results); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return results, nil
}
