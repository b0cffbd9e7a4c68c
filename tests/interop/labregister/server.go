package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"tailscale.com/control/controlhttp/controlhttpserver"
	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/util/zstdframe"
)

const (
	baseDomain = "lab.test"
	bodyLimit  = 1 << 20
)

var (
	labUser  = tailcfg.User{ID: 1, DisplayName: "Lab", Created: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	labLogin = tailcfg.Login{ID: 1, Provider: "lab", LoginName: "lab@lab.test", DisplayName: "Lab"}
)

// server is the whole tailnet; mu guards everything below it.
type server struct {
	base  string
	certs *certificates

	mu       sync.Mutex
	store    *store
	derpMap  *tailcfg.DERPMap
	mode     mode
	pending  map[string]*signIn
	faults   []*fault
	streams  map[tailcfg.NodeID][]*stream
	online   map[tailcfg.NodeID]bool
	requests map[string]int // how often each path was asked for, for tests that count
}

// mode are the switches of the "mode" command; absent ones stay as they are.
type mode struct {
	Open             *bool `json:"open,omitempty"`              // no auth key, no sign-in needed
	EarlyPayload     *bool `json:"early_payload,omitempty"`     // default on
	EraseAbsent      *bool `json:"erase_absent,omitempty"`      // an absent field erases the stored one
	KeepaliveRemoved *bool `json:"keepalive_removed,omitempty"` // a removed node's stream lives on
	WholeList        *bool `json:"whole_list,omitempty"`        // every peer in every update
	Patches          *bool `json:"patches,omitempty"`
	KeepAliveMS      *int  `json:"keepalive_ms,omitempty"`   // default 50 s
	FirstFrameMS     *int  `json:"first_frame_ms,omitempty"` // headers wait for the first frame, as long
	EphemeralMS      *int  `json:"ephemeral_ms,omitempty"`   // from offline to removal, default 5 s
	OfflineAfterMS   *int  `json:"offline_after,omitempty"`  // from the end of a stream, default 2 s
	SignInTimeoutMS  *int  `json:"signin_timeout,omitempty"` // after which a waiting sign-in gets a new URL
}

func on(b *bool) bool { return b != nil && *b }

func ms(v *int, def time.Duration) time.Duration {
	if v == nil {
		return def
	}
	return time.Duration(*v) * time.Millisecond
}

// connKey is under which a request finds its Noise connection.
type connKey struct{}

// conn is one Noise connection.
type conn struct {
	machine key.MachinePublic
	dead    atomic.Bool // the old process of a restarted server: everything gets 500
}

func newServer(base, path string, derpMap *tailcfg.DERPMap) (*server, error) {
	st, err := openStore(path)
	if err != nil {
		return nil, err
	}
	return &server{
		base: base, store: st, derpMap: derpMap,
		pending: map[string]*signIn{}, streams: map[tailcfg.NodeID][]*stream{},
		online: map[tailcfg.NodeID]bool{}, requests: map[string]int{},
	}, nil
}

func (s *server) publicHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/key", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(tailcfg.OverTLSPublicKeyResponse{PublicKey: s.store.MachineKey.Public()})
	})
	mux.HandleFunc("/ts2021", s.serveNoise)
	mux.HandleFunc("/register/", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("This page only exists to be visited: the test approves.\n"))
	})
	mux.HandleFunc("/generate_204", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	return s.counted(mux)
}

func (s *server) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests[r.URL.Path]++
		s.mu.Unlock()
		next.ServeHTTP(w, r)
	})
}

func (s *server) serveNoise(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	early := s.mode.EarlyPayload == nil || *s.mode.EarlyPayload
	private := s.store.MachineKey
	s.mu.Unlock()
	write := writeEarlyPayload
	if !early {
		write = nil
	}
	nc, err := controlhttpserver.AcceptHTTP(r.Context(), w, r, private, write)
	if err != nil {
		log.Printf("ts2021 from %s: %v", r.RemoteAddr, err)
		return
	}
	defer nc.Close()
	c := &conn{machine: nc.Peer()}
	mux := http.NewServeMux()
	mux.HandleFunc("/machine/register", s.serveRegister)
	mux.HandleFunc("/machine/map", s.serveMap)
	mux.HandleFunc("/machine/update-health", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusNoContent) })
	var h2 http2.Server
	h2.ServeConn(nc, &http2.ServeConnOpts{
		Context:    context.WithValue(context.Background(), connKey{}, c),
		BaseConfig: &http.Server{Handler: s.counted(deadConns(mux))},
	})
}

// deadConns answers as the old process of a restarted server does on the
// connections that it still holds.
func deadConns(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if connOf(r).dead.Load() {
			select {
			case <-r.Context().Done():
			case <-time.After(10 * time.Second):
			}
			http.Error(w, "internal server error", http.StatusInternalServerError)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func connOf(r *http.Request) *conn { return r.Context().Value(connKey{}).(*conn) }

// writeEarlyPayload sends magic, length and JSON as three Noise records.
func writeEarlyPayload(_ int, w io.Writer) error {
	payload, err := json.Marshal(tailcfg.EarlyNoise{NodeKeyChallenge: key.NewChallenge().Public()})
	if err != nil {
		return err
	}
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(len(payload)))
	for _, b := range [][]byte{[]byte("\xff\xff\xffTS"), size[:], payload} {
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func readJSON(r *http.Request, v any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, bodyLimit))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, v)
}

// writeFrame sends one map message and flushes it.
func writeFrame(w http.ResponseWriter, compress bool, msg any) error {
	body, err := json.Marshal(msg)
	if err != nil {
		return err
	}
	if compress {
		body = zstdframe.AppendEncode(nil, body, zstdframe.FastestCompression)
	}
	frame := binary.LittleEndian.AppendUint32(nil, uint32(len(body)))
	if _, err := w.Write(append(frame, body...)); err != nil {
		return err
	}
	return http.NewResponseController(w).Flush()
}

// fault is a scripted failure of the next requests of a kind.
type fault struct {
	What       string // register or map
	Node       string // host name; empty: any
	Error      string // RegisterResponse.Error with status 200
	Status     int    // otherwise this status and Body
	Body       string
	RetryAfter string
	Count      int // how many requests fail; 0: one
}

// takeFault finds and counts down the fault for a request; mu is held.
func (s *server) takeFault(what, hostname string) *fault {
	for i, f := range s.faults {
		if f.What != what || f.Node != "" && !strings.EqualFold(f.Node, hostname) {
			continue
		}
		if f.Count--; f.Count <= 0 {
			s.faults = append(s.faults[:i], s.faults[i+1:]...)
		}
		return f
	}
	return nil
}

func (f *fault) write(w http.ResponseWriter) {
	if f.RetryAfter != "" {
		w.Header().Set("Retry-After", f.RetryAfter)
	}
	if f.Status == 0 {
		json.NewEncoder(w).Encode(tailcfg.RegisterResponse{Error: f.Error})
		return
	}
	http.Error(w, f.Body, f.Status)
}
