package config

import (
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strings"
)

// checker is a table with rules that are about more than one of its values. Faults name keys with the prefix.
type checker interface{ check(prefix string) []error }

// Validate reports all faults at once. Each line names the key to change, its value, and what is allowed.
func (c *Config) Validate() error {
	var faults []error
	for _, s := range settings(c) {
		faults = append(faults, s.check())
	}
	faults = append(faults, checkTables("", reflect.ValueOf(c).Elem())...)
	faults = append(faults, c.checkNames()...)
	faults = append(faults, c.checkMemory()...)
	faults = append(faults, c.checkMetadata()...)
	return errors.Join(faults...)
}

// check holds a value against the tags of its field.
func (s setting) check() error {
	v := s.value
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if enum := s.tag.Get("enum"); enum != "" {
		allowed := strings.Split(enum, ",")
		if text := v.String(); !slices.Contains(allowed, text) && (text != "" || s.tag.Get("else") == "") {
			return fmt.Errorf("%s is %q: use one of %s", s.key, text, strings.Join(allowed, ", "))
		}
	}
	if s.tag.Get("ratio") != "" {
		if f := v.Float(); !(f > 0 && f <= 1) { // also NaN
			return fmt.Errorf("%s is %v: it is a ratio, which must be above 0 and at most 1", s.key, f)
		}
	}
	low, high := s.tag.Get("min"), s.tag.Get("max")
	tooLow := low != "" && !(number(v) >= bound(v.Type(), low))
	tooHigh := high != "" && !(number(v) <= bound(v.Type(), high))
	if !tooLow && !tooHigh {
		return nil
	}
	allowed := "at least " + low
	switch {
	case low != "" && high != "":
		allowed = "from " + low + " to " + high
	case high != "":
		allowed = "at most " + high
	}
	return fmt.Errorf("%s is %s: it must be %s", s.key, strings.Trim(s.text(), `"`), allowed)
}

// number is a value that has bounds.
func number(v reflect.Value) float64 {
	switch {
	case v.CanInt():
		return float64(v.Int())
	case v.CanUint():
		return float64(v.Uint())
	default:
		return v.Float()
	}
}

// bound reads a bound as a value of that type is read. A tag that cannot be read is a mistake that a test finds.
func bound(t reflect.Type, text string) float64 {
	fresh := reflect.New(t)
	d := decoder{}
	d.value(nil, text, fresh.Elem())
	return number(fresh.Elem())
}

// checkTables asks the tables that have rules of their own.
func checkTables(prefix string, v reflect.Value) []error {
	var faults []error
	c, own := v.Addr().Interface().(checker)
	for f, value := range v.Fields() {
		_, plain := value.Interface().(getter)
		if _, lent := value.Addr().Interface().(checker); lent && f.Anonymous {
			own = false // its check is that of what is embedded
		}
		if value.Kind() != reflect.Struct || plain {
			continue
		}
		below := prefix
		if !f.Anonymous {
			below += f.Tag.Get("toml") + "."
		}
		faults = append(faults, checkTables(below, value)...)
	}
	if own {
		faults = append(faults, c.check(prefix)...)
	}
	return faults
}

func (r *Retry) check(prefix string) []error {
	if r.Type == "exponential" && r.MaxInterval < r.InitialInterval {
		return []error{fmt.Errorf("%smax-interval is %s: it must be at least initial-interval (%s)", prefix, r.MaxInterval, r.InitialInterval)}
	}
	return nil
}

func (r *InvocationRetry) check(prefix string) []error {
	if r.MaxInterval < r.InitialInterval {
		return []error{fmt.Errorf("%smax-interval is %s: it must be at least initial-interval (%s)", prefix, r.MaxInterval, r.InitialInterval)}
	}
	return nil
}

func (t *Throttling) check(prefix string) []error {
	switch {
	case t.Capacity == nil:
		return nil
	case t.Rate == nil:
		return []error{fmt.Errorf("%scapacity is %d and there is no rate: write %srate = \"10/s\"", prefix, *t.Capacity, prefix)}
	case *t.Capacity == 0:
		return []error{fmt.Errorf("%scapacity is 0: it must be at least 1", prefix)}
	}
	return nil
}

func (t *Tracing) check(string) []error {
	var faults []error
	for _, e := range []struct{ key, url string }{
		{"tracing-endpoint", t.Endpoint}, {"tracing-runtime-endpoint", t.RuntimeEndpoint}, {"tracing-services-endpoint", t.ServicesEndpoint},
	} {
		if e.url == "" {
			continue
		}
		u, err := url.Parse(e.url)
		if err != nil || u.Host == "" || !slices.Contains([]string{"http", "https", "otlp+http", "otlp+https"}, u.Scheme) {
			faults = append(faults, fmt.Errorf("%s is %q: write http://host:4317 for gRPC, or otlp+http://host:4318/v1/traces", e.key, redacted(e.url)))
		}
	}
	return faults
}

func (t *Mutual) check(prefix string) []error {
	if !t.On() {
		return nil
	}
	var faults []error
	var missing []string
	for _, f := range []struct{ key, path string }{{"cert", t.Cert}, {"key", t.Key}, {"ca", t.CA}} {
		if f.path == "" {
			missing = append(missing, prefix+f.key)
		}
	}
	if len(missing) > 0 {
		faults = append(faults, fmt.Errorf("%smode is %q, and there is no %s: name files in PEM", prefix, t.Mode, strings.Join(missing, ", ")))
	}
	for _, n := range t.Names {
		if n == "" || strings.Contains(strings.TrimPrefix(n, "*."), "*") {
			faults = append(faults, fmt.Errorf("%sallowed-names has %q: write names such as node-1.example.org, *.example.org or spiffe://example.org/worker", prefix, n))
		}
	}
	return faults
}

// redacted is a URL without the password that may be in it.
func redacted(u string) string {
	i := strings.LastIndex(u, "@")
	if i < 0 {
		return u
	}
	scheme, _, _ := strings.Cut(u[:i], "//")
	return scheme + "//***" + u[i:]
}

func (p *Postgres) check(prefix string) []error {
	if p.BindAddress == "" {
		return nil
	}
	if _, err := netip.ParseAddrPort(p.BindAddress); err != nil {
		return []error{fmt.Errorf("%sbind-address is %q: write ip:port", prefix, p.BindAddress)}
	}
	return nil
}

func (l *Listen) check(prefix string) []error {
	var faults []error
	if l.BindIP != "" {
		if _, err := netip.ParseAddr(l.BindIP); err != nil {
			faults = append(faults, fmt.Errorf("%sbind-ip is %q: write an IP address", prefix, l.BindIP))
		}
	}
	if l.BindAddress != "" {
		if _, err := netip.ParseAddrPort(l.BindAddress); err != nil {
			faults = append(faults, fmt.Errorf("%sbind-address is %q: write ip:port", prefix, l.BindAddress))
		}
	}
	if l.AdvertisedAddress != "" {
		if u, err := url.Parse(l.AdvertisedAddress); err != nil || u.Host == "" {
			faults = append(faults, fmt.Errorf("%sadvertised-address is %q: write a URL such as http://host:port", prefix, l.AdvertisedAddress))
		}
	}
	return faults
}

// checkNames is about who this process is.
func (c *Config) checkNames() []error {
	var faults []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	bad(c.NodeName == "", "node-name is empty and the host has no name: set node-name")
	bad(strings.ContainsAny(c.NodeName, "/\\ \t\n") || c.NodeName == "." || c.NodeName == "..", "node-name is %q, and names a folder: use letters, digits, dots, dashes", c.NodeName)
	bad(c.ClusterName == "" || strings.ContainsAny(c.ClusterName, "/ \t\n"), "cluster-name is %q: it must not be empty nor hold slashes or spaces", c.ClusterName)
	bad(c.BaseDir == "", "base-dir is empty: name a folder")
	bad(len(strings.Split(c.Location, ".")) > 2, "location is %q: write region or region.zone", c.Location)
	bad(len(c.Roles) == 0, "roles is empty: name some of %s", strings.Join(allRoles, ", "))
	for _, r := range c.Roles {
		bad(!slices.Contains(allRoles, r), "roles has %q: use some of %s", r, strings.Join(allRoles, ", "))
	}
	return faults
}

var allRoles = []string{"http-ingress", "admin", "worker", "log-server", "metadata-server"}

// invocationSlack is what an attempt may hold besides its messages.
const invocationSlack = 4 * mib

// checkMemory is about budgets, which must fit into what they are part of.
func (c *Config) checkMemory() []error {
	var faults []error
	var sum Bytes
	var named []string
	for _, b := range []struct {
		key    string
		budget *Bytes
	}{
		{"worker.storage.rocksdb-memory-budget", c.Worker.Storage.MemoryBudget}, {"log-server.rocksdb-memory-budget", c.LogServer.MemoryBudget},
	} {
		if b.budget == nil {
			continue
		}
		sum += *b.budget
		named = append(named, fmt.Sprintf("%s (%s)", b.key, *b.budget))
	}
	if sum > c.MemoryTotal {
		faults = append(faults, fmt.Errorf("%s: more than rocksdb-total-memory-size (%s): lower the budget or raise the total", strings.Join(named, " + "), c.MemoryTotal))
	}
	v := &c.Worker.Invoker
	if each := Bytes(c.InvocationMemoryLimit()); v.MemoryBytes != 0 && v.MemoryBytes < each+invocationSlack {
		faults = append(faults, fmt.Errorf("worker.invoker.memory-limit is %s: it must hold one invocation, worker.invoker.per-invocation-memory-limit (%s) and %s", v.MemoryBytes, each, invocationSlack))
	}
	if each := Bytes(c.InvocationMemoryLimit()); v.InvocationBytesFirst > each {
		faults = append(faults, fmt.Errorf("worker.invoker.per-invocation-initial-memory is %s: it must be at most worker.invoker.per-invocation-memory-limit (%s)", v.InvocationBytesFirst, each))
	}
	return faults
}

// checkMetadata is about the metadata store and logs.
func (c *Config) checkMetadata() []error {
	var faults []error
	bad := func(cond bool, format string, args ...any) {
		if cond {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	bad(c.MetadataClient.Type == "etcd" && len(c.MetadataClient.Addresses) == 0, "metadata-client.addresses is empty: name the members of the external etcd")
	for _, a := range c.MetadataClient.Addresses {
		bad(c.MetadataClient.Type == "etcd" && c.MetadataClient.TLS.On() && strings.HasPrefix(a, "http://"),
			"metadata-client.addresses has %q, and metadata-client.tls is set: write https://", a)
	}
	m := &c.MetadataServer
	bad(m.HeartbeatTicks > 0 && m.ElectionTicks < 5*m.HeartbeatTicks,
		"metadata-server.raft-election-tick is %d: it must be at least five times metadata-server.raft-heartbeat-tick (%d)", m.ElectionTicks, m.HeartbeatTicks)
	bad(c.Bifrost.Loglet.StoreTimeout.Min == 0, "bifrost.replicated-loglet.store-timeout is %s: it must be above 0", c.Bifrost.Loglet.StoreTimeout)
	bad(c.Bifrost.AppendRetryMax < c.Bifrost.AppendRetryMin, "bifrost.append-retry-max-interval is %s: it must be at least bifrost.append-retry-min-interval (%s)",
		c.Bifrost.AppendRetryMax, c.Bifrost.AppendRetryMin)
	return faults
}

// checkFiles is about files that settings name.
func (c *Config) checkFiles() error {
	var faults []error
	if path := c.Worker.Invoker.IdentityKeyFile; path != "" {
		const key = "worker.invoker.request-identity-private-key-pem-file"
		text, err := os.ReadFile(path)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s is %q: %w: name a file that this process may read", key, path, err))
		} else if block, _ := pem.Decode(text); block == nil {
			faults = append(faults, fmt.Errorf("%s is %q, which has no PEM block: make one with openssl genpkey -algorithm ed25519", key, path))
		}
	}
	for _, dir := range []struct{ key, path string }{
		{"admin.query-engine.tmp-dir", c.Admin.QueryEngine.TmpDir}, {"base-dir", c.BaseDir}, {"log-server.rocksdb-wal-dir", c.LogServer.WALDir},
	} {
		if st, err := os.Stat(dir.path); dir.path != "" && err == nil && !st.IsDir() {
			faults = append(faults, fmt.Errorf("%s is %q, which is a file: name a folder, or change %s", dir.key, dir.path, dir.key))
		}
	}
	return errors.Join(faults...)
}

// doubts are warnings about values that are allowed and hardly meant.
func (c *Config) doubts() []string {
	var out []string
	if sum := c.Worker.Storage.MemoryRatio + c.LogServer.MemoryRatio; sum > 1 && c.Worker.Storage.MemoryBudget == nil && c.LogServer.MemoryBudget == nil {
		out = append(out, fmt.Sprintf("worker.storage.rocksdb-memory-ratio and log-server.rocksdb-memory-ratio add up to %v: a process with both roles may use more than rocksdb-total-memory-size", sum))
	} else if m := c.Memory(); Bytes(m.BlockCache+m.WorkerMemtables+m.LogServerMemtables) > c.MemoryTotal && (c.Worker.Storage.MemoryBudget != nil || c.LogServer.MemoryBudget != nil) {
		out = append(out, fmt.Sprintf("block cache (%s), memtables of workers (%s) and of log-servers (%s) are more than rocksdb-total-memory-size (%s): a process with both roles may use more; lower worker.storage.rocksdb-memory-budget or log-server.rocksdb-memory-budget",
			Bytes(m.BlockCache), Bytes(m.WorkerMemtables), Bytes(m.LogServerMemtables), c.MemoryTotal))
	}
	if t := &c.Networking.TLS; !t.On() && t.Cert != "" {
		out = append(out, "networking.tls names files, and networking.tls.mode is off: daemons speak without TLS")
	}
	if c.EmbeddedMetadata() && c.MetadataClient.TLS.On() {
		out = append(out, "metadata-client.tls is for an external etcd (metadata-client.type = \"etcd\"): towards that in metadata daemons it is networking.tls")
	}
	return out
}
