package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// certificates serves one certificate at a time, of a kind that a test picks:
// good, expired and wrongname are signed by ca.pem; untrusted by nobody known.
type certificates struct {
	host   string
	caCert *x509.Certificate
	caKey  *ecdsa.PrivateKey

	mu   sync.Mutex
	cert *tls.Certificate
}

func newCertificates(dir, host string) (*certificates, error) {
	if dir == "" {
		return nil, fmt.Errorf("-listen-tls needs -tls-dir")
	}
	c := &certificates{host: host}
	if err := c.loadAuthority(dir); err != nil {
		return nil, err
	}
	return c, c.use("good")
}

func (c *certificates) loadAuthority(dir string) error {
	certFile, keyFile := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca.key")
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil {
		c.caCert, err = x509.ParseCertificate(pair.Certificate[0])
		c.caKey, _ = pair.PrivateKey.(*ecdsa.PrivateKey)
		return err
	}
	var der []byte
	var err error
	if c.caCert, c.caKey, der, err = newAuthority("Lab authority"); err != nil {
		return err
	}
	keyDER, err := x509.MarshalECPrivateKey(c.caKey)
	if err != nil {
		return err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}

func newAuthority(name string) (*x509.Certificate, *ecdsa.PrivateKey, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return cert, key, der, err
}

// use switches to a certificate of the kind.
func (c *certificates) use(kind string) error {
	host, from, until := c.host, time.Now().Add(-time.Hour), time.Now().Add(30*24*time.Hour)
	caCert, caKey := c.caCert, c.caKey
	switch kind {
	case "good":
	case "expired":
		from, until = time.Now().Add(-40*time.Hour), time.Now().Add(-time.Hour)
	case "wrongname":
		host = "elsewhere.invalid"
	case "untrusted":
		var err error
		if caCert, caKey, _, err = newAuthority("Nobody knows me"); err != nil {
			return err
		}
	default:
		return fmt.Errorf("no certificate kind %q (good, expired, wrongname, untrusted)", kind)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host},
		NotBefore: from, NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, caCert, &key.PublicKey, caKey)
	if err != nil {
		return err
	}
	c.mu.Lock()
	c.cert = &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	c.mu.Unlock()
	return nil
}

func (c *certificates) serve(l net.Listener, handler http.Handler) error {
	config := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.cert, nil
	}}
	srv := &http.Server{
		Handler: handler,
		// HTTP/2 outside would make the upgrade impossible.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
	return srv.Serve(tls.NewListener(l, config))
}
