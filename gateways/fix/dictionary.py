"""The message table: what each message of FIX 4.4 that this venue speaks may hold, of which type, in which groups.

Read as: `55*` is required, `453(448 447)` a repeating group counted by 453 whose entries begin with 448, `{parties}`
a block of `BLOCKS`, `{instrument!}` a block whose required fields are required here (without "!" they need not be
there). Group entries keep to this order; everything else within header, body or trailer may come in any order.

Invariant: standard tags, values and types are those of FIX 4.4 alone; what sessions may ask for beyond stands apart.
"""

from __future__ import annotations

from typing import Final

HEADER: Final = (
    "8* 9* 35* 49* 56* 115 128 90 91 34* 50 142 57 143 116 144 129 145 43 97 52* 122 212 213 347 369 627(628 629 630)"
)
TRAILER: Final = "93 89 10*"

BLOCKS: Final = {
    "parties": "453(448 447 452 802(523 803))",
    "nested_parties": "539(524 525 538 804(545 805))",
    "text": "58 354 355",
    "session": "386(336 625)",
    "allocations": "78(79 661 736 467 {nested_parties} 80)",
    "stipulations": "232(233 234)",
    "quantity": "38 152 516 468 469",
    "commission": "12 13 479 497",
    "benchmark": "218 220 221 222 662 663 699 761",
    "yield": "235 236 701 696 697 698",
    "peg": "211 835 836 837 838 840",
    "discretion": "388 389 841 842 843 844 846",
    "financing": "913 914 915 918 788 916 917 919 898",
    "extension": "668 869 870(871 872)",
    "instrument": (
        "55* 65 48 22 454(455 456) 460 461 167 762 200 541 201 224 225 239 226 227 228 255 543 470 471 472 240 202 "
        "947 206 231 223 207 106 348 349 107 350 351 691 667 875 876 864(865 866 867 868) 873 874"
    ),
    "underlying": (
        "311 312 309 305 457(458 459) 462 463 310 763 313 542 315 241 242 243 244 245 246 256 595 592 593 594 247 316 "
        "941 317 436 435 308 306 362 363 307 364 365 877 878 318 879 810 882 883 884 885 886 887(888 889)"
    ),
    "underlyings": "711({underlying})",
    "leg": (
        "600 601 602 603 604(605 606) 607 608 609 764 610 611 248 249 250 251 252 253 257 599 596 597 598 254 612 942 "
        "613 614 615 616 617 618 619 620 621 622 623 624 556 740 739 955 956"
    ),
    "legs": "555({leg})",
    "listed_legs": "555({leg} 690 587 683(688 689) 676 677 678 679 680)",
    "executed_legs": "555({leg} 687 690 683(688 689) 564 565 {nested_parties} 654 566 587 588 637)",
    "entry": (
        "270 15 271 272 273 274 275 336 625 276 277 282 283 284 286 59 432 126 110 18 287 37 299 288 289 346 290 546 "
        "811"
    ),
    "booking": "1 660 581 589 590 591",
}

APPLICATION_IN: Final = {
    "D": (
        "11* 526 583 {parties} 229 75 {booking} 70 {allocations} 63 64 544 635 21 18 110 111 100 {session} 81 "
        "{instrument!} {financing} {underlyings} 140 54* 114 60* {stipulations} 854 {quantity!} 40* 423 44 99 "
        "{benchmark} {yield} 15 376 377 23 117 59 168 432 126 427 {commission} 528 529 582 121 120 775 {text} 193 192 "
        "640 77 203 210 {peg} {discretion} 847 848 849 480 481 513 494"
    ),
    "F": (
        "41* 37 11* 526 583 66 586 1 660 581 {parties} {instrument!} {financing} {underlyings} 54* 60* {quantity!} 376 "
        "{text}"
    ),
    "G": (
        "37 {parties} 229 75 41* 11* 526 583 66 586 {booking} 70 {allocations} 63 64 544 635 21 18 110 111 100 "
        "{session} {instrument!} {financing} {underlyings} 54* 60* 854 {quantity!} 40* 423 44 99 {benchmark} {yield} "
        "{peg} {discretion} 847 848 849 376 377 15 59 168 432 126 427 {commission} 528 529 582 121 120 775 {text} 193 "
        "192 640 77 203 210 114 480 481 513 494"
    ),
    "q": "11* 526 530* 336 625 {instrument} {underlying} 54 60* {text}",
    "H": "37 11* 526 583 {parties} 790 1 660 {instrument!} {financing} {underlyings} 54*",
    "AF": "584* 585* {parties} 1 660 336 625 {instrument} {underlying} 54",
    "E": (
        "66* 390 391 414 394* 415 480 481 513 433 69 352 353 765 766 767 68* 893 73*(11* 526 67* 583 160 {parties} "
        "229 75 1 660 581 589 590 70 591 {allocations} 63 64 544 635 21 18 110 111 100 {session} 81 {instrument!} "
        "{underlyings} 140 54* 401 114 60 {stipulations} 854 {quantity!} 40 423 44 99 {benchmark} {yield} 15 376 377 "
        "23 117 59 168 432 126 427 {commission} 528 529 582 121 120 775 {text} 193 192 640 77 203 210 {peg} "
        "{discretion} 847 848 849 494)"
    ),
    "x": "320* 559* {instrument} {extension} {financing} {underlyings} {legs} 15 {text} 336 625 263",
    "e": "324* {instrument!} {extension} {underlyings} {legs} 15 263* 336 625",
    "V": "262* 263* 264* 265 266 286 546 547 267*(269*) 146*({instrument!} {underlyings} {legs}) {session} 815 812",
}
"""What clients may send, the most frequent first."""

ADMIN: Final = {
    "A": "98* 108* 95 96 141 789 383 384(372 385) 464 553 554",
    "0": "112",
    "1": "112*",
    "2": "7* 16*",
    "3": "45* 371 372 373 {text}",
    "4": "123 36*",
    "5": "{text}",
}

APPLICATION_OUT: Final = {
    "8": (
        "37* 198 526 527 11 41 583 693 790 584 911 912 {parties} 229 382(375 337 437 438 655) 66 548 551 549 17* 19 "
        "150* 39* 636 103 378 {booking} 63 64 544 635 {instrument!} {financing} {underlyings} 54* {stipulations} 854 "
        "{quantity} 40 423 44 99 {peg} {discretion} 839 845 847 848 849 850 15 376 377 59 168 432 126 18 528 529 582 "
        "32 652 31 651 669 194 195 30 336 625 943 29 151* 14* 6* 424 425 426 427 75 60 113 {commission} {benchmark} "
        "{yield} 381 157 230 158 159 738 920 921 922 258 259 260 238 237 118 119 120 155 156 21 110 111 77 210 775 "
        "{text} 193 192 641 442 480 481 513 494 483 515 484 485 638 639 851 518(519 520 521) {executed_legs} 797 "
        "136(137 138 139 891)"
    ),
    "9": "37* 198 526 11* 583 41* 39* 636 586 66 1 660 581 229 75 60 434* 102 {text}",
    "r": ("11 526 37* 198 530* 531* 532 533 534(41 535 536) 336 625 {instrument} {underlying} 54 60 {text}"),
    "j": "45 372* 379 380* {text}",
    "y": (
        "320* 322* 560* 393 893 146({instrument} {extension} {financing} {underlyings} 15 {stipulations} {listed_legs} "
        "{benchmark} {yield} 561 562 336 625 827 {text})"
    ),
    "f": (
        "324 {instrument!} {extension} {underlyings} {legs} 15 336 625 325 326 291 292 327 328 329 330 331 332 333 31 "
        "60 334 {text}"
    ),
    "h": "335 336* 625 338 339 325 340* 567 341 342 343 344 345 387 {text}",
    "W": "262 {instrument!} {underlyings} {legs} 291 292 451 268*(269* {entry} {text}) 813 814",
    "X": ("262 268*(279* 285 269 278 280 {instrument} {underlyings} {legs} 291 292 {entry} 451 {text}) 813 814"),
    "Y": "262* 281 816(817) {text}",
}

MESSAGES: Final = APPLICATION_IN | ADMIN | APPLICATION_OUT

MESSAGE_TYPES: Final = (
    "0 1 2 3 4 5 6 7 8 9 A B C D E F G H J K L M N P Q R S T V W X Y Z a b c d e f g h i j k l m n o p q r s t u v w "
    "x y z AA AB AC AD AE AF AG AH AI AJ AK AL AM AN AO AP AQ AR AS AT AU AV AW AX AY AZ BA BB BC BD BE BF BG BH"
)
"""Every message type of FIX 4.4: one of these that is no key of MESSAGES is valid, but not supported here."""

LOGON_REQUESTS: Final = {"A": "8013 8014 8015"}
"""What any session may ask for as it logs on: cancel on disconnect, newer tags, decimal places of times."""
NEWER: Final = {
    "D": "1138 7928",
    "G": "1138 7928",
    "E": "1385 73(1138 7928)",
    "8": "1003 1057 1138 1385 7928",
}
"""What only sessions that ask for newer tags may send and are sent."""

TYPES: Final = {
    "decimal": (
        "6 12 14 31 32 38 44 80 99 110 111 118 119 137 140 151 152 155 158 159 192 194 195 202 210 211 218 223 227 "
        "228 231 236 237 238 245 246 252 253 260 270 271 316 330 331 332 333 381 387 389 424 425 426 435 436 437 451 "
        "469 485 516 520 561 562 566 612 614 615 623 637 639 640 641 651 652 662 669 679 687 697 738 765 766 810 811 "
        "839 845 849 850 867 869 879 882 883 884 885 886 898 920 921 922 1138"
    ),
    "int": (
        "67 68 98 102 103 108 157 201 203 226 244 251 264 265 287 290 315 326 334 338 339 340 346 371 373 378 380 393 "
        "394 401 414 415 423 427 452 460 462 519 533 538 549 559 560 565 567 581 582 585 607 638 660 661 663 668 680 "
        "690 698 775 788 803 805 812 813 814 815 827 835 836 837 838 840 841 842 843 844 846 847 851 854 865 871 875 "
        "891 911 919 1385 7928 8015"
    ),
    "sequence": "7 16 34 36 45 369 630 789",
    "length": "9 90 93 95 212 348 350 352 354 362 364 383 618 621",
    "count": (
        "73 78 136 146 232 267 268 382 384 386 453 454 457 518 534 539 555 604 627 683 711 802 804 816 864 870 887"
    ),
    "data": "89 91 96 213 349 351 353 355 363 365 619 622",
    "boolean": ("43 97 113 114 121 123 141 258 266 325 328 329 377 464 547 636 797 893 912 1057 8013 8014"),
    "char": (
        "13 21 29 39 40 54 59 63 77 81 150 156 160 206 263 269 274 279 281 285 317 327 385 388 433 434 442 447 468 "
        "480 481 484 497 525 528 530 531 544 564 587 589 590 591 613 624"
    ),
    "chars": "18 276 277 286 291 292 529 546",
    "timestamp": "52 60 122 126 168 341 342 343 344 345 438 483 515 586 629",
    "time": "273",
    "date": (
        "64 75 193 224 225 229 230 240 241 242 247 248 249 254 259 272 432 541 542 588 611 696 701 739 866 873 874 "
        "915 916 917 956"
    ),
    "month": "200 313 610 667 955",
    "country": "470 592 596",
}
"""Fields by type; all others are text. `chars` are characters parted by blanks, a `month` may end in day or week."""

VALUES: Final = {
    "13": "1 2 3 4 5 6",
    "18": "1 2 3 4 5 6 7 8 9 0 A B C D E F G H I J K L M N O P Q R S U V W X Y Z a b c d e",
    "21 334 338 339 394 414 442 544 546 847 851": "1 2 3",
    "22": "1 2 3 4 5 6 7 8 9 A B C D E F G H I J",
    "29 549 582 788 840 846": "1 2 3 4",
    "39": "0 1 2 3 4 6 7 8 9 A B C D E",
    "40": "1 2 3 4 6 7 8 9 D E G I J K L M P",
    "54": "1 2 3 4 5 6 7 8 9 A B C D E F G",
    "59 380 531": "0 1 2 3 4 5 6 7",
    "63": "0 1 2 3 4 5 6 7 8 9",
    "77": "O C R F",
    "81 98 340 388": "0 1 2 3 4 5 6",
    "102 532": "0 1 2 3 4 5 6 99",
    "103": "0 1 2 3 4 5 6 7 8 9 10 11 13 14 15 99",
    "139": "1 2 3 4 5 6 7 8 9 10 11 12",
    "150": "0 3 4 5 6 7 8 9 A B C D E F G H I",
    "156": "M D",
    "160": "1 4 5",
    "167": (
        "EUSUPRA FAC FADN PEF SUPRA CORP CPP CB DUAL EUCORP XLINKD STRUCT YANK FOR CS PS BRADY EUSOV TBOND TINT TIPS "
        "TCAL TPRN UST USTB TNOTE TBILL REPO FORWARD BUYSELL SECLOAN SECPLEDGE TERM RVLV RVLVTRM BRIDGE LOFC SWING "
        "DINP DEFLTED WITHDRN REPLACD MATURED AMENDED RETIRED BA BN BOX CD CL CP DN EUCD EUCP LQN MTN ONITE PN PZFJ "
        "STN TD XCN YCD ABS CMBS CMO IET MBS MIO MPO MPP MPT PFAND TBA AN COFO COFP GO MT RAN REV SPCLA SPCLO SPCLT "
        "TAN TAXA TECP TRAN VRDN WAR MF MLEG NONE FUT OPT"
    ),
    "201 203 265 285 591 638 827 835 841 854": "0 1",
    "263 279 427 468 589 590 775 837 843 891": "0 1 2",
    "269 281": "0 1 2 3 4 5 6 7 8 9 A B C",
    "274 814 815 836 842 919": "0 1 2 3",
    "276": "A B C D E F G H I",
    "277": "A B C D E F G H I J K L M N P Q R",
    "286 560": "0 1 2 3 4 5",
    "291 401 434 668 838 844 1385": "1 2",
    "292": "A B C D E",
    "326": "1 2 3 4 5 6 7 8 9 10 12 13 14 15 16 17 18 19 20 21 22 23",
    "327": "I X P D E M",
    "373": "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 99",
    "378": "0 1 2 3 4 5 6 7 8 9 10 99",
    "385": "S R",
    "423": "1 2 3 4 5 6 7 8 9 10 11",
    "433": "1 2 3 4 5",
    "447": "B C D E F G H 1 2 3 4 5 6 7 8 9 A I",
    "452": ("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38"),
    "460": "1 2 3 4 5 6 7 8 9 10 11 12 13",
    "480": "Y N M O",
    "481": "Y N 1 2 3",
    "484": "B C D E O P Q S",
    "497": "Y N",
    "519": "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15",
    "528": "A G I P R W",
    "529": "1 2 3 4 5 6 7 8 9 A",
    "530": "1 2 3 4 5 6 7",
    "559 7928": "0 1 2 3 4",
    "567": "1 99",
    "581": "1 2 3 4 6 7 8",
    "585": "1 2 3 4 5 6 7 8",
    "635": "B C E F H I L M 1 2 3 4 5 9",
    "660": "1 2 3 4 5 99",
    "690": "1 2 4 5",
    "865": "1 2 3 4 99",
    "875": "1 2 99",
    "8015": "3 6",
}
"""The values that fields may have; a field that is in no key may have any of its type."""
