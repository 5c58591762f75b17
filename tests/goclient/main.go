// Command goclient answers what a Go TLS client says, one JSON line a question.
//
//	goclient HOST ADDRESS:PORT CAFILE   one real handshake
//	goclient                            batch of offline questions on stdin
package main

import (
	"bufio"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

type question struct {
	Served [][]byte
	Pool   []byte
	Host   string
	Now    time.Time
}

type answer struct {
	OK     bool   `json:"ok"`
	Error  string `json:"error"`
	Loaded int    `json:"loaded"`
}

func main() {
	if len(os.Args) == 4 {
		reply(answer{}, dial(os.Args[1], os.Args[2], os.Args[3]))
		return
	}
	lines := bufio.NewReaderSize(os.Stdin, 1<<20)
	for decoder := json.NewDecoder(lines); ; {
		var q question
		if decoder.Decode(&q) != nil {
			return
		}
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(q.Pool)
		reply(answer{Loaded: len(pool.Subjects())}, judge(q, pool))
	}
}

func reply(a answer, err error) {
	if a.OK = err == nil; err != nil {
		a.Error = err.Error()
	}
	_ = json.NewEncoder(os.Stdout).Encode(a)
}

func dial(host, address, caFile string) error {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	config := &tls.Config{RootCAs: pool, ServerName: host, NextProtos: []string{"h2", "http/1.1"}}
	err = tls.Client(conn, config).Handshake()
	var header tls.RecordHeaderError
	if errors.As(err, &header) && header.Conn != nil && string(header.RecordHeader[:]) == "HTTP/" {
		return errors.New("http: server gave HTTP response to HTTPS client") // as net/http does
	}
	return err
}

// judge repeats offline what crypto/tls does with a Certificate message.
func judge(q question, roots *x509.CertPool) error {
	var certs []*x509.Certificate
	others := x509.NewCertPool()
	for i, der := range q.Served {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return fmt.Errorf("tls: failed to parse certificate from server: %w", err)
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > 8192 {
			return errors.New("tls: server sent certificate containing RSA key larger than 8192 bits")
		}
		if certs = append(certs, cert); i > 0 {
			others.AddCert(cert)
		}
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: others, DNSName: q.Host, CurrentTime: q.Now,
	})
	if err != nil {
		return fmt.Errorf("tls: failed to verify certificate: %w", err)
	}
	switch certs[0].PublicKeyAlgorithm {
	case x509.RSA, x509.ECDSA, x509.Ed25519:
		return nil
	}
	return fmt.Errorf("tls: server's certificate contains an unsupported type of public key: %T", certs[0].PublicKey)
}
