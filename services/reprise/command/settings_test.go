package command

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSettings(t *testing.T) {
	home := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(home, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	write("config.toml", "environment_type = 1\n[local]\nadmin_base_url = \"http://file:1/\"\n[prod]\nadmin_base_url = \"https://prod/\"\ningress_base_url = \"https://in/\"\nbearer_token = \"t\"\n")
	other := write("other.toml", "[stage]\nadmin_base_url = \"unix:/run/admin.sock\"\n")
	bad := write("bad.toml", "[local\n")
	for _, row := range []struct {
		name, vars, flag string
		want             string // environment admin ingress token, or part of the error
	}{
		{"file", "", "", "local http://file:1 http://localhost:8080 "},
		{"flag", "", "prod", "prod https://prod https://in t"},
		{"variable", "RESTATE_ENVIRONMENT=prod", "", "prod https://prod https://in t"},
		{"flag before variable", "RESTATE_ENVIRONMENT=nope", "prod", "prod https://prod https://in t"},
		{"other file", "RESTATE_CLI_CONFIG=" + other, "stage", "stage unix:/run/admin.sock  "},
		{"no file", "RESTATE_CLI_CONFIG=" + home + "/none", "", "local http://localhost:9070 http://localhost:8080 "},
		{"host", "RESTATE_HOST=h", "", "local http://h:9070 http://h:8080 "},
		{"host and scheme", "RESTATE_HOST=h RESTATE_HOST_SCHEME=https", "prod", "prod https://h:9070 https://h:8080 t"},
		{"URLs before host", "RESTATE_HOST=h RESTATE_ADMIN_URL=http://a/ RESTATE_INGRESS_URL=http://i/ RESTATE_AUTH_TOKEN=x", "", "local http://a http://i x"},
		{"unknown environment", "", "nope", `environment "nope" is not in`},
		{"broken file", "RESTATE_CLI_CONFIG=" + bad, "", "configuration " + bad},
		{"bad URL", "RESTATE_ADMIN_URL=localhost", "", "is not absolute"},
	} {
		t.Run(row.name, func(t *testing.T) {
			vars := map[string]string{"RESTATE_CLI_CONFIG_HOME": home}
			for _, v := range strings.Fields(row.vars) {
				name, value, _ := strings.Cut(v, "=")
				vars[name] = value
			}
			s, err := loadSettings(func(n string) (string, bool) { v, ok := vars[n]; return v, ok }, row.flag)
			got := strings.Join([]string{s.Environment, s.Admin, s.Ingress, s.Token}, " ")
			if err != nil {
				got = err.Error()
			}
			if got != row.want && (err == nil || !strings.Contains(got, row.want)) {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestChosenEnvironment(t *testing.T) {
	home := t.TempDir()
	for name, text := range map[string]string{"environment": "prod\n", "config.toml": "[prod]\nadmin_base_url = \"http://p\"\n"} {
		if err := os.WriteFile(filepath.Join(home, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vars := map[string]string{"RESTATE_CLI_CONFIG_HOME": home}
	s, err := loadSettings(func(n string) (string, bool) { v, ok := vars[n]; return v, ok }, "")
	if err != nil || s.Environment != "prod" || s.Admin != "http://p" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestDotEnv(t *testing.T) {
	file := filepath.Join(t.TempDir(), ".env")
	text := "# comment=1\nA=1\nexport B = \"two words\"\nC='x'\nreal=file\nnonsense\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	real := func(n string) (string, bool) { return "process", n == "real" }
	l, err := withDotEnv(real, file)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"A": "1", "B": "two words", "C": "x", "real": "process", "# comment": "", "nonsense": ""} {
		if got := l.get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, err := withDotEnv(real, file+"x"); err != nil {
		t.Errorf("no file: %v", err)
	}
}

func TestDeploymentURL(t *testing.T) {
	for in, want := range map[string]string{
		"9080": "http://localhost:9080/", ":9080": "http://localhost:9080/", "localhost:9080": "http://localhost:9080/",
		"http://h": "http://h/", "https://h:1/a?b=c": "https://h:1/a?b=c", "h/a": "http://h/a", "http://": "",
	} {
		got, err := deploymentURL(in)
		if got != want && (want != "" || err == nil) {
			t.Errorf("%q: %q, %v, want %q", in, got, err, want)
		}
	}
}
