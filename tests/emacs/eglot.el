;;; Drives Emacs with eglot, set up as docs/editors.md says.  -*- lexical-binding: t -*-
;; MIDLINE (the program) and FILE come in the environment; what is found goes out as a line of JSON.
(require 'package)
(package-initialize)
(require 'eglot)
(require 'json)

(setq eglot-sync-connect 60
      eglot-connect-timeout 60
      eglot-send-changes-idle-time 0)
(add-to-list 'eglot-server-programs
             `(python-mode . (,(getenv "MIDLINE") "serve"
                              :initializationOptions (:midline (:completion (:menu_wait_ms 60000))))))

(defun text ()
  (buffer-substring-no-properties (point-min) (point-max)))

(defun wait-for (condition)
  "Wait until CONDITION gives something, and give that; nil after a minute and a half."
  (let ((deadline (time-add nil 90)) found)
    (while (and (not (setq found (funcall condition))) (time-less-p nil deadline))
      (accept-process-output nil 0.2))
    found))

(find-file (getenv "FILE"))
(call-interactively #'eglot)
(let* ((server (wait-for #'eglot-current-server))
       (before (text))
       (ready (wait-for (lambda ()
                          (let ((status (jsonrpc-request server :midline/status (make-hash-table))))
                            (equal "ready" (plist-get (plist-get status :engine) :state)))))))
  (goto-char (1- (point-max))) ; the end of the last line
  (let* ((place (plist-get (eglot--TextDocumentPositionParams) :position))
         (actions (jsonrpc-request server :textDocument/codeAction
                                   (list :textDocument (eglot--TextDocumentIdentifier)
                                         :range (list :start place :end place)
                                         :context (list :diagnostics [])))))
    (wait-for (lambda ()
                (completion-at-point)
                (not (equal before (text)))))
    (message "%s" (json-encode `((ready . ,ready)
                                 (actions . ,(vconcat (mapcar (lambda (one) (plist-get one :title)) actions)))
                                 (text . ,(text)))))))
(set-buffer-modified-p nil)
(eglot-shutdown (eglot-current-server))
