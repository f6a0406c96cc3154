// Command bench-sql times SQL statements on two servers in turns: those of the lists of the command line and the UI.
//
// Both have the same invocations; the scenario sql-scan of bench loads 100,000.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"
)

// statements are those that are timed; %s is the id of an invocation.
var statements = []struct{ name, sql string }{
	{"by id", "SELECT * FROM sys_invocation WHERE id = '%s'"},
	{"journal by id", "SELECT * FROM sys_journal WHERE id = '%s'"},
	{"count", "SELECT count(*) AS n FROM sys_invocation"},
	{"count by service, status", "SELECT target_service_name, status, count(*) AS n FROM sys_invocation GROUP BY target_service_name, status"},
	{"list of the command line", "SELECT id FROM sys_invocation i WHERE status != 'completed' ORDER BY i.created_at DESC, i.id LIMIT 100"},
	{"its count", "SELECT count(1) FROM (SELECT * FROM sys_invocation i LIMIT 50000) WHERE status != 'completed'"},
	{"list of a service", "SELECT id FROM sys_invocation i WHERE i.target_service_name IN ('Bench') AND status != 'completed' ORDER BY i.created_at DESC, i.id LIMIT 100"},
	{"list of the UI", "SELECT id, target, status, created_at FROM sys_invocation ORDER BY created_at DESC LIMIT 250"},
}

func main() {
	a := flag.String("a", "http://127.0.0.1:9070", "admin `URL` of the first server")
	b := flag.String("b", "", "admin `URL` of the second one, if any")
	rounds := flag.Int("rounds", 9, "how often each statement runs on each")
	flag.Parse()
	if err := run([]string{*a, *b}, *rounds, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench-sql:", err)
		os.Exit(1)
	}
}

func run(urls []string, rounds int, out io.Writer) error {
	urls = slices.DeleteFunc(urls, func(u string) bool { return u == "" })
	ids := make([]string, len(urls))
	for i, u := range urls {
		var err error
		if ids[i], err = anyID(u); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintln(out, "| statement | A: median ms | fastest | B: median ms | fastest | A / B |\n|---|---|---|---|---|---|"); err != nil {
		return err
	}
	for _, s := range statements {
		took := make([][]float64, len(urls))
		for round := range rounds + 1 {
			for k := range urls {
				i := (k + round) % len(urls)
				sql := s.sql
				if bytes.Contains([]byte(sql), []byte("%s")) {
					sql = fmt.Sprintf(sql, ids[i])
				}
				begin := time.Now()
				if _, err := ask(urls[i], sql); err != nil {
					return fmt.Errorf("%s on %s: %w", s.name, urls[i], err)
				}
				if round > 0 { // the first one warms up
					took[i] = append(took[i], float64(time.Since(begin).Microseconds())/1000)
				}
			}
		}
		line := "| " + s.name
		for i := range urls {
			slices.Sort(took[i])
			line += fmt.Sprintf(" | %.1f | %.1f", took[i][len(took[i])/2], took[i][0])
		}
		if len(urls) == 2 {
			line += fmt.Sprintf(" | %.2f", took[0][len(took[0])/2]/took[1][len(took[1])/2])
		}
		if _, err := fmt.Fprintln(out, line+" |"); err != nil {
			return err
		}
	}
	return nil
}

func anyID(url string) (string, error) {
	b, err := ask(url, "SELECT id FROM sys_invocation_status LIMIT 1")
	if err != nil {
		return "", err
	}
	var answer struct {
		Rows []struct {
			ID string `json:"id"`
		} `json:"rows"`
	}
	if err := json.Unmarshal(b, &answer); err != nil {
		return "", fmt.Errorf("answer of %s: %w", url, err)
	}
	if len(answer.Rows) == 0 {
		return "", fmt.Errorf("%s has no invocations", url)
	}
	return answer.Rows[0].ID, nil
}

func ask(url, sql string) (_ []byte, err error) {
	body, err := json.Marshal(map[string]string{"query": sql})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, url+"/query", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json")
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %.200s", resp.StatusCode, b)
	}
	return b, err
}
