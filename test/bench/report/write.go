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
func Write(dir string, r Report) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var table, picture bytes.Buffer
	if err := Print(&table, r); err != nil {
		return err
	}
	chart(&picture, r.Results)
	content, err := json.MarshalIndent(r, "", "\t")
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

// Read returns what is in a results.json. Its durations are nanoseconds.
func Read(path string) (r Report, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	return r, nil
}
