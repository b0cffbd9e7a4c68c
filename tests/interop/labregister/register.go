package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tailscale.com/tailcfg"
	"tailscale.com/types/key"
	"tailscale.com/util/rands"
)

// signIn is a registration that waits for a person.
type signIn struct {
	id      string
	machine key.MachinePublic
	req     *tailcfg.RegisterRequest
	done    chan struct{} // closed at approval or refusal
	denied  string        // why not; empty after an approval
}

func (s *server) signInURL(id string) string { return s.base + "/register/" + id }

func (s *server) serveRegister(w http.ResponseWriter, r *http.Request) {
	req := new(tailcfg.RegisterRequest)
	if err := readJSON(r, req); err != nil {
		http.Error(w, "unsupported client version:  (0)", http.StatusBadRequest)
		return
	}
	machine := connOf(r).machine
	hostname := ""
	if req.Hostinfo != nil {
		hostname = req.Hostinfo.Hostname
	}
	s.mu.Lock()
	f := s.takeFault("register", hostname)
	var res *tailcfg.RegisterResponse
	var wait *signIn
	if f == nil {
		res, wait = s.register(machine, req)
	}
	s.mu.Unlock()
	if f != nil {
		f.write(w)
		return
	}
	if wait != nil {
		if res = s.waitFor(r, wait); res == nil {
			return // the client went away
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(res)
	s.wakeAll()
}

// register decides a request in the order of the protocol; mu is held.
// It returns the answer, or the sign-in that has to be waited for.
func (s *server) register(machine key.MachinePublic, req *tailcfg.RegisterRequest) (*tailcfg.RegisterResponse, *signIn) {
	known := s.store.byKey(req.NodeKey)
	if known != nil && known.Node.Machine != machine {
		return refuse("node key already in use by another machine"), nil
	}
	hasKey := req.Auth != nil && req.Auth.AuthKey != ""
	switch {
	case req.NodeKey.IsZero():
		return refuse("key hex string doesn't have expected type prefix nodekey:"), nil
	case known != nil && !req.Expiry.IsZero() && req.Expiry.Before(time.Now()):
		return s.logout(known), nil
	case known != nil && !hasKey && !known.expired() && req.Expiry.IsZero():
		if req.Hostinfo != nil {
			known.Node.Hostinfo = req.Hostinfo.View()
		}
		return accepted(), nil
	case known != nil && !hasKey && known.expired() && req.Followup == "":
		return &tailcfg.RegisterResponse{NodeKeyExpired: true, User: labUser, Login: labLogin}, nil
	case known != nil && !hasKey && req.Expiry.After(time.Now()):
		if !known.Node.KeyExpiry.IsZero() && req.Expiry.After(known.Node.KeyExpiry) {
			return refuse("extending key is not allowed"), nil
		}
		known.Node.KeyExpiry = req.Expiry.UTC()
		return accepted(), s.saved()
	case req.Followup != "":
		return s.followUp(machine, req)
	case hasKey:
		return s.withAuthKey(machine, known, req), nil
	case on(s.mode.Open):
		s.store.add(machine, req)
		return accepted(), s.saved()
	}
	return s.newSignIn(machine, req), nil
}

func (s *server) saved() *signIn {
	if err := s.store.save(); err != nil {
		log.Fatal(err)
	}
	return nil
}

func accepted() *tailcfg.RegisterResponse {
	return &tailcfg.RegisterResponse{User: labUser, Login: labLogin, MachineAuthorized: true}
}

func refuse(text string) *tailcfg.RegisterResponse { return &tailcfg.RegisterResponse{Error: text} }

func (s *server) logout(m *member) *tailcfg.RegisterResponse {
	defer s.saved()
	if m.Ephemeral {
		s.forget(m)
		return &tailcfg.RegisterResponse{NodeKeyExpired: true}
	}
	m.Node.KeyExpiry = time.Now().UTC()
	return &tailcfg.RegisterResponse{NodeKeyExpired: true, MachineAuthorized: true, User: labUser, Login: labLogin}
}

func (s *server) newSignIn(machine key.MachinePublic, req *tailcfg.RegisterRequest) *tailcfg.RegisterResponse {
	p := &signIn{id: "labreq-" + rands.HexString(24), machine: machine, req: req, done: make(chan struct{})}
	s.pending[p.id] = p
	return &tailcfg.RegisterResponse{AuthURL: s.signInURL(p.id)}
}

func (s *server) followUp(machine key.MachinePublic, req *tailcfg.RegisterRequest) (*tailcfg.RegisterResponse, *signIn) {
	u, err := url.Parse(req.Followup)
	id, ok := "", false
	if err == nil {
		id, ok = strings.CutPrefix(u.Path, "/register/")
	}
	if !ok || !strings.HasPrefix(req.Followup, s.base+"/") {
		return refuse("invalid registration ID"), nil
	}
	p := s.pending[id]
	if p == nil || p.machine != machine {
		return s.newSignIn(machine, req), nil
	}
	return nil, p
}

func (s *server) waitFor(r *http.Request, p *signIn) *tailcfg.RegisterResponse {
	s.mu.Lock()
	limit := ms(s.mode.SignInTimeoutMS, 15*time.Minute)
	s.mu.Unlock()
	select {
	case <-r.Context().Done():
		return nil
	case <-time.After(limit):
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.pending, p.id)
		return s.newSignIn(p.machine, p.req)
	case <-p.done:
		if p.denied != "" {
			return refuse(p.denied)
		}
		return accepted()
	}
}

// settle approves (denied empty) or refuses a sign-in.
func (s *server) settle(urlOrID, denied string) error {
	id := urlOrID[strings.LastIndex(urlOrID, "/")+1:]
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pending[id]
	if p == nil {
		return fmt.Errorf("no sign-in %q", urlOrID)
	}
	delete(s.pending, id)
	p.denied = denied
	if denied == "" {
		s.store.add(p.machine, p.req)
		s.saved()
	}
	close(p.done)
	return nil
}

func (s *server) withAuthKey(machine key.MachinePublic, known *member, req *tailcfg.RegisterRequest) *tailcfg.RegisterResponse {
	if known != nil && !known.expired() {
		return accepted() // a restart with a spent key is fine
	}
	const prefix = "handling register with auth key: "
	var k *authKey
	for _, candidate := range s.store.AuthKeys {
		if candidate.Key == req.Auth.AuthKey {
			k = candidate
		}
	}
	switch {
	case k == nil:
		return refuse(prefix + "invalid pre auth key")
	case k.Revoked:
		return refuse(prefix + "authkey revoked")
	case !k.Expires.IsZero() && k.Expires.Before(time.Now()):
		return refuse(prefix + "authkey expired")
	case k.Used && !k.Reusable:
		return refuse(prefix + "authkey already used")
	case req.Hostinfo != nil && len(req.Hostinfo.RequestTags) > 0:
		return refuse(fmt.Sprintf(prefix+"creating new node: requested tags %v are invalid or not permitted", req.Hostinfo.RequestTags))
	}
	k.Used = true
	m := s.store.add(machine, req)
	m.Ephemeral = k.Ephemeral
	m.Node.Tags = k.Tags
	s.saved()
	return accepted()
}
